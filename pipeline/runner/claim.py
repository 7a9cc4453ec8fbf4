"""Keeps an `--output` of `diptych train` to one training: `config.json` there says which one it is."""

import json
from collections.abc import Mapping
from typing import Any

from absl import logging
from etils import epath

from beam_jobs import storage
from beam_jobs.examples import origin, read_info
from components import damaged_examples
from components.errors import UserError
from components.trainer import Trainer
from pipeline import digests
from pipeline.runner import decide, libraries

NAME = "config.json"

_DECIDING = ("keras", "tensorflow")
"""The Trainer's libraries without scikit-learn, which decides no longer, see `components.trainer.component`."""

Record = Mapping[str, Any]


def claim(folder: epath.Path, trainer: Trainer, *, examples: str) -> None:
    """Writes into `config.json` what is trained on what, or checks that the training there is the same.

    What an earlier version of Diptych has not written there counts as equal, and is added.

    Raises:
        UserError: The folder cannot be written, or it has a checkpoint of a training with another config, other
            examples or another version of the Trainer.
        DamagedFile: The examples do not say what they hold.
    """
    file = folder / NAME
    record = _record(trainer, examples=examples)
    try:
        before = _read(file) if file.exists() else None
        if before is not None and _has_checkpoints(folder):
            _check(file, trainer, before=before, now=record)
            record["examples_content"] = {**_mapping(before, "examples_content"), **record["examples_content"]}
            # The versions with which it began.
            record["libraries"] = {**record["libraries"], **_mapping(before, "libraries")}
        if before != record:
            folder.mkdir(parents=True, exist_ok=True)
            storage.write_text(file, json.dumps(record, indent=1), concurrent=True)
    except OSError as error:
        raise not_writable(folder, error) from error


def not_writable(folder: epath.Path, error: OSError) -> UserError:
    """Returns the error that says that an `--output` cannot be written."""
    return UserError(f"--output {folder} cannot be written ({error.strerror}): name another folder.")


def _record(trainer: Trainer, *, examples: str) -> dict[str, Any]:
    """Returns the content of `config.json` for a training that begins now."""
    record = {
        "examples": examples,
        "examples_content": _content(epath.Path(examples)),
        "trainer": trainer.resolved_config().deciding(),
        "version": trainer.version,
        "libraries": libraries.versions(_DECIDING),
    }
    external = dict(trainer.external_digests())
    return {**record, "external": external} if external else record


def _content(folder: epath.Path) -> dict[str, str]:
    """Returns a digest by which the examples in a folder can be told from others.

    It is that of the small files that describe them or, where these have no digests, of the shards' names and sizes.

    Raises:
        DamagedFile: One of the small files is missing or damaged.
    """
    with damaged_examples.named([folder]):
        info = read_info(folder)
    described = origin.describe(info)
    if "sha256" in described:
        return {"sha256": described["sha256"]}
    sizes = digests.file_sizes(folder)
    names = [file.rpartition("/")[2] for split in info.splits for file in info.files(split)]
    return {"sizes": digests.json_digest([(name, sizes.get(name)) for name in names])}


def _check(file: epath.Path, trainer: Trainer, *, before: Record, now: Record) -> None:
    """Checks that a training that has begun goes on, in the same folder, as what is asked for now.

    Raises:
        UserError: It does not.
    """
    if before.get("version", trainer.version) != trainer.version:
        raise UserError(
            f"--output {file.parent} holds a training by version {before['version']} of the Trainer, and this Diptych "
            f"has version {trainer.version}: name another folder to train from the start, or go on with the Diptych "
            "that began it."
        )
    content, content_now = (_mapping(record, "examples_content") for record in (before, now))
    is_replaced = any(content[name] != content_now[name] for name in content.keys() & content_now.keys())
    steps = _steps(before, now, trainer=trainer)
    if is_replaced or not 0 < steps <= trainer.config.steps:
        hint = f" ({now['examples']} holds others than then)" if is_replaced else ""
        raise UserError(
            f"--output {file.parent} holds a training with another config or other examples{hint}, see {file}: name "
            "another folder, remove this one, or use the same config and examples as before."
        )
    if steps < trainer.config.steps and not trainer.can_extend:
        raise UserError(
            f"--output {file.parent} holds this training with fewer steps, and trainer.extend=false: name another "
            "folder to train from the start, or leave that field out to go on from its end."
        )
    changes = decide.differences(_mapping(before, "libraries") or now["libraries"], now["libraries"])
    if changes:
        logging.warning(
            "the training in %s began with other libraries (%s) and goes on with these; for the same ones throughout, "
            "install those, or name another --output",
            file.parent,
            ", ".join(changes),
        )


def _steps(before: Record, now: Record, *, trainer: Trainer) -> int:
    """Returns the steps of a training that differs from what is asked for in nothing else, and 0 for any other."""
    if any(before.get(name) != now.get(name) for name in ("examples", "external")):
        return 0
    config = _mapping(before, "trainer")
    if config.get("precision") == trainer.config.precision:  # Earlier versions of Diptych wrote `auto`.
        config = {**config, "precision": now["trainer"]["precision"]}
    return trainer.steps_of(config)


def _mapping(record: Record, name: str) -> Mapping[str, object]:
    value = record.get(name)
    return value if isinstance(value, Mapping) else {}


def _read(file: epath.Path) -> Record:
    """Returns the content of `config.json`; nothing if it is damaged."""
    try:
        content = json.loads(file.read_text())
    except ValueError:
        return {}
    return content if isinstance(content, Mapping) else {}


def _has_checkpoints(folder: epath.Path) -> bool:
    checkpoints = folder / "work" / "checkpoints"
    return checkpoints.exists() and any(checkpoints.iterdir())
