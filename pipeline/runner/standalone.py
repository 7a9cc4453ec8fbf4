"""Runs the Trainer by itself, without a pipeline and without metadata, on one machine or on several."""

import contextlib
import json
import os
import pathlib
import time
from collections.abc import Iterator

from absl import logging
from etils import epath

from beam_jobs import storage
from components.base import StageContext, StageResult
from components.errors import UserError
from components.trainer import Trainer, TrainerConfig
from pipeline import file_lock, lease
from pipeline.console.durations import duration
from pipeline.console.progress import Display
from pipeline.runner import cache_key, interrupts
from pipeline.runner.supervision import Supervision


def train(
    config: TrainerConfig, *, examples: str, output: str, display: Display, supervision: Supervision | None = None
) -> StageResult:
    """Trains on a folder of examples, or continues where the same call was stopped.

    Args:
        config: Config of the Trainer.
        examples: The folder that AudioExampleGen published, local or gs://.
        output: Folder for `model/` (for `diptych run --import`), `model_run/`, `tensorboard/` and `work/` with the
            checkpoints. It is the same for all machines.
        display: Where progress is shown.
        supervision: Its alarm and its costs; None for none.

    Raises:
        UserError: The config does not fit the examples, `output` cannot be written, it holds a training with another
            config, or another process is training into it.
    """
    trainer, supervision = Trainer(config), supervision or Supervision()
    trainer.check()
    examples_folder = epath.Path(examples)
    if not (examples_folder / "dataset_info.json").exists():
        raise UserError(
            f"--examples {examples}: there is no dataset_info.json; give the folder that AudioExampleGen published, "
            "e.g. runs/tiny/artifacts/AudioExampleGen/examples/1."
        )
    folder = epath.Path(output)
    started = time.monotonic()
    with _lock(folder, config):
        _claim(folder, trainer, examples=examples)
        outputs = {channel: folder / channel for channel in trainer.outputs}
        work = folder / "work"
        for subfolder in (*outputs.values(), work):
            subfolder.mkdir(parents=True, exist_ok=True)
        with display.stage(trainer.name, **supervision.of_display(trainer.name)) as progress:
            context = StageContext(work_dir=work, tensorboard_dir=folder / "tensorboard", progress=progress)
            result = trainer.execute(inputs={"examples": examples_folder}, outputs=outputs, context=context)
    display.say(f"{trainer.name}: done in {duration(time.monotonic() - started)}, {result.summary}, in {folder}")
    return result


@contextlib.contextmanager
def _lock(folder: epath.Path, config: TrainerConfig) -> Iterator[None]:
    """Keeps a second training out of the folder until the block or the process ends.

    A remote folder is leased by the one machine that writes into it, see `pipeline.lease`.

    Raises:
        UserError: Another process is training into the folder, or it cannot be written.
    """
    with contextlib.ExitStack() as stack:
        if storage.is_remote(folder):
            if _lock_name(config) == ".lock":
                stack.enter_context(lease.held(folder, flag="--output", on_loss=interrupts.stop))
            yield
            return
        try:
            stack.enter_context(file_lock.held(pathlib.Path(folder, _lock_name(config))))
        except file_lock.HeldError as error:
            raise UserError(
                f"--output {folder} is in use by another `diptych train` ({error}): wait for it, stop it, or name "
                "another folder."
            ) from error
        except file_lock.NoLocksError as error:
            logging.warning(
                "the file system of --output %s has no record locks (%s): nothing keeps a second training out",
                folder,
                error,
            )
        except OSError as error:
            raise _not_writable(folder, error) from error
        yield


def _lock_name(config: TrainerConfig) -> str:
    """Returns the name of this process' lock. Machines that train together share a folder; each has its own lock."""
    if config.strategy not in ("auto", "multi_worker"):
        return ".lock"
    try:
        cluster = json.loads(os.environ.get("TF_CONFIG") or "{}")
        kind, index = cluster["task"]["type"], int(cluster["task"]["index"])
        writes = kind == "chief" or (kind == "worker" and index == 0 and "chief" not in cluster["cluster"])
    except (ValueError, KeyError, TypeError):  # `strategies` reports a wrong TF_CONFIG.
        return ".lock"
    return ".lock" if writes else f".lock-{kind}-{index}"


def _not_writable(folder: epath.Path, error: OSError) -> UserError:
    return UserError(f"--output {folder} cannot be written ({error.strerror}): name another folder.")


def _claim(folder: epath.Path, trainer: Trainer, *, examples: str) -> None:
    """Writes the resolved config and the examples into `config.json`.

    Raises:
        UserError: The folder cannot be written, or it has a checkpoint of a training with another config or other
            examples.
    """
    file = folder / "config.json"
    external = {"external": dict(trainer.external_digests())} if trainer.external_digests() else {}
    text, unresolved = (
        json.dumps({"examples": examples, "trainer": cache_key.config_values(config), **external}, indent=1)
        for config in (trainer.resolved_config(), trainer.config)
    )
    try:
        if file.exists():
            # Earlier versions of Diptych wrote the config unresolved.
            if file.read_text() in (text, unresolved):
                return
            if _has_checkpoints(folder):
                _check_extends(file, text=text, can_extend=trainer.can_extend)
        folder.mkdir(parents=True, exist_ok=True)
        storage.write_text(file, text, concurrent=True)
    except OSError as error:
        raise _not_writable(folder, error) from error


def _check_extends(file: epath.Path, *, text: str, can_extend: bool) -> None:
    """Checks that a training whose config is not that of `config.json` goes on from the end of that one.

    Raises:
        UserError: It does not.
    """
    if not _has_fewer_steps(file, text=text):
        raise UserError(
            f"--output {file.parent} holds a training with another config or other examples, see {file}: name "
            "another folder, remove this one, or use the same config and examples as before."
        )
    if not can_extend:
        raise UserError(
            f"--output {file.parent} holds this training with fewer steps, and trainer.extend=false: name another "
            "folder to train from the start, or leave that field out to go on from its end."
        )


def _has_fewer_steps(file: epath.Path, *, text: str) -> bool:
    """Returns whether `config.json` differs from the new one only in fewer steps, so that the training goes on."""
    try:
        before, now = json.loads(file.read_text()), json.loads(text)
        steps = now["trainer"]["steps"]
        is_shorter = before["trainer"]["steps"] < steps
        before["trainer"]["steps"] = steps
    except (ValueError, KeyError, TypeError):  # It is damaged, or of another version.
        return False
    return is_shorter and before == now


def _has_checkpoints(folder: epath.Path) -> bool:
    checkpoints = folder / "work" / "checkpoints"
    return checkpoints.exists() and any(checkpoints.iterdir())
