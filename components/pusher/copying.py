"""Copies a SavedModel into the folder that a model server watches, so that the server never sees a part of it.

On this machine the copy gets a temporary name that is not a number, which model servers ignore, and is then renamed. A
bucket cannot rename a folder at once. There the files are copied many at a time, and `saved_model.pb`, without which no
server loads a version, comes when all others are there.

What a killed push leaves behind is removed by the next one, which finds it by the record in the work folder.
"""

import contextlib
import json
from collections.abc import Iterator, Sequence

from etils import epath

from beam_jobs import storage
from components import base, embedding_info, file_errors
from components.errors import UserError

MODEL_FILE = "saved_model.pb"
"""No server loads a version without it."""

_RECORD = "push.json"


def push(
    saved_model: epath.Path,
    folder: epath.Path,
    *,
    evaluation: bytes | None,
    version: int,
    context: base.StageContext,
) -> epath.Path:
    """Copies a SavedModel to `<folder>/<version>`, completely or not at all.

    Args:
        saved_model: The SavedModel.
        evaluation: See `copy`.
        folder: The folder that a model server watches, local or remote.
        version: The version number, unless this execution continues one that has already started to push.
        context: Its work folders hold the records of pushes that were interrupted.

    Returns:
        The folder of the copy.

    Raises:
        UserError: The version already exists, or the folder cannot be written.
    """
    for interrupted in _interrupted(context.earlier_work_dirs):
        _remove_half(interrupted)
    for interrupted in _interrupted([context.work_dir]):
        if _is_complete(interrupted):  # The run was killed after the push and before its record.
            return interrupted
        _remove_half(interrupted)
    target = folder / str(version)
    if _is_complete(target):
        raise UserError(f"{target} exists already: choose another pusher.version, or null for the time of the push.")
    storage.write_text(context.work_dir / _RECORD, json.dumps({"target": str(target)}))
    try:
        _remove_half(target)
        if storage.is_remote(target):
            copy(saved_model, target, evaluation=evaluation)
        else:
            copy(saved_model, _temporary(target), evaluation=evaluation)
            _temporary(target).rename(target)
    except Exception as error:  # Buckets raise errors of many types.
        if not isinstance(error, OSError) and file_errors.as_user_error(error, place=str(folder)) is None:
            raise
        with contextlib.suppress(Exception):  # The next push removes it.
            _remove_half(target)
        raise UserError(
            f"cannot push to {folder} ({file_errors.reason(error)}): make room and give this user the right to "
            "write there, or choose another pusher.destination."
        ) from error
    return target


def copy(saved_model: epath.Path, target: epath.Path, *, evaluation: bytes | None) -> None:
    """Copies a SavedModel, and adds how good it is. `saved_model.pb` comes last.

    Args:
        saved_model: The SavedModel.
        target: The copy.
        evaluation: What the Evaluator found, JSON; None if it is not known.
    """
    if evaluation is not None:
        file = target / embedding_info.EVALUATION
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(evaluation)
    storage.copy_tree(saved_model, target, last=MODEL_FILE)


def _interrupted(work_dirs: Sequence[epath.Path]) -> Iterator[epath.Path]:
    """Yields the targets of pushes that were interrupted."""
    for work_dir in work_dirs:
        record = work_dir / _RECORD
        if record.exists():
            yield epath.Path(json.loads(record.read_text())["target"])


def _is_complete(target: epath.Path) -> bool:
    """Returns whether a version is one that a server can load. A local folder is renamed when it is complete."""
    return (target / MODEL_FILE).exists() if storage.is_remote(target) else target.exists()


def _remove_half(target: epath.Path) -> None:
    """Removes what an interrupted push to `target` has left, unless it is complete."""
    if not storage.is_remote(target):
        storage.remove_tree(_temporary(target))
    elif not _is_complete(target):
        storage.remove_tree(target)


def _temporary(target: epath.Path) -> epath.Path:
    return target.with_name(f"incomplete-{target.name}")
