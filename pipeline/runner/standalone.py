"""Runs the Trainer by itself, without a pipeline and without metadata, on one machine or on several."""

import contextlib
import pathlib
import time
from collections.abc import Iterator

from absl import logging
from etils import epath

from beam_jobs import storage
from components.base import StageContext, StageResult
from components.errors import UserError
from components.trainer import Trainer, TrainerConfig, devices
from pipeline import file_lock, lease
from pipeline.console.durations import duration
from pipeline.console.progress import Display
from pipeline.runner import claim, interrupts
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
        UserError: The config does not fit the examples, `output` cannot be written, it holds another training, or
            another process is training into it.
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
        claim.claim(folder, trainer, examples=examples)
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
        UserError: Another process is training into the folder, it cannot be written, or TF_CONFIG is wrong.
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
            raise claim.not_writable(folder, error) from error
        yield


def _lock_name(config: TrainerConfig) -> str:
    """Returns the name of this process' lock. Machines that train together share a folder; each has its own lock.

    Raises:
        UserError: TF_CONFIG is wrong, see `devices.count_workers`.
    """
    strategy = devices.choose_strategy(tpu=config.tpu) if config.strategy == "auto" else config.strategy
    if strategy != "multi_worker":
        return ".lock"
    task = devices.task()
    return ".lock" if task.writes else f".lock-{task.type}-{task.index}"
