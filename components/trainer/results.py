"""Writes what a training leaves: its models, and the record of what was trained on what."""

import contextlib
import dataclasses
import json
import os
from collections.abc import Iterator

from etils import epath

from beam_jobs.examples import ExamplesInfo, origin
from components.errors import UserError
from components.trainer.config import TrainerConfig
from components.trainer.initial_model import InitialModel
from components.trainer.loop import Outcome
from components.trainer.validation_state import ValidationState
from models.dual import DualEncoder


def save_model(model: DualEncoder, path: epath.Path) -> None:
    """Writes a model as a `.keras` file.

    Raises:
        UserError: It cannot be written.
    """
    with write_errors(path.parent):
        model.save(str(path))


def write_record(
    folder: epath.Path,
    *,
    config: TrainerConfig,
    info: ExamplesInfo,
    outcome: Outcome,
    validated: ValidationState,
    initial: InitialModel | None,
) -> None:
    """Writes `training.json`.

    Args:
        folder: The folder of the model.
        config: How it was trained.
        info: The examples.
        outcome: How the training ended.
        validated: The best score of the validations.
        initial: The model that the training started from; None for initial weights.

    Raises:
        UserError: It cannot be written.
    """
    record = _record(config, info, outcome, validated=validated)
    with write_errors(folder):
        if initial is not None:
            record["initial_model"] = {"path": os.fspath(initial.path), "sha256": initial.sha256()}
        (folder / "training.json").write_text(json.dumps(record, indent=1, allow_nan=False))


def _record(
    config: TrainerConfig, info: ExamplesInfo, outcome: Outcome, *, validated: ValidationState
) -> dict[str, object]:
    """Returns the content of `training.json`: the outcome, and what was trained on what."""
    record = {"batch_size": config.batch_size, **dataclasses.asdict(outcome)}
    if validated.best_score is not None and validated.metric is not None:
        record["validation"] = {"metric": validated.metric, "score": validated.best_score}
    record["data"] = {
        **origin.describe(info),
        "clips": dict(info.splits),
        "classes": len(info.label_names),
        "sample_rate": info.sample_rate,
    }
    record["config"] = config.deciding()
    return record


@contextlib.contextmanager
def write_errors(folder: epath.Path) -> Iterator[None]:
    """Turns an error of the file system within the `with` block, such as a full disk, into a `UserError`."""
    try:
        yield
    except OSError as error:
        raise UserError(
            f"The model cannot be written to {folder} ({error.strerror or error}): make room, and run the same command "
            "again; the checkpoints are kept."
        ) from error
