"""Writes and reads the files of one checkpoint.

    state.index, state.data-...    variables, in TensorFlow's format
    checkpoint.json                step, validation state, SHA-256 and size of each file

A checkpoint is written under a temporary name and then renamed. Cloud Storage cannot rename a folder at once, so there
it is written in place, and is finished when it has its checkpoint.json. Its files are verified by their digests before
they are read.
"""

import contextlib
import dataclasses
import json
import os
from collections.abc import Iterator, Mapping, Sequence

import keras
import tensorflow as tf
from etils import epath

from beam_jobs import storage
from components import file_errors
from components.errors import UserError
from components.trainer.validation_state import ValidationState

RECORD = "checkpoint.json"
"""Written last: a checkpoint in a bucket is finished when it has it."""

_STATE = "state"


class DamagedError(Exception):
    """A file of a checkpoint is gone, or its bytes are not those that were written."""


class CheckpointFiles:
    """Writes the given variables to checkpoints, and reads them back.

    Args:
        variables: Keras variables, always in the same order.
    """

    def __init__(self, variables: Sequence[keras.Variable]):
        self._checkpoint = tf.train.Checkpoint(state=_NamedVariables(variables))
        self._shapes = [f"{variable.dtype} {tuple(variable.shape)}" for variable in variables]

    def write(self, folder: epath.Path, *, step: int, validation_state: ValidationState) -> None:
        """Writes the variables to a new checkpoint, in place of any in the same folder.

        Raises:
            OSError, tf.errors.OpError: It cannot be written. On this machine, that in the same folder stays. Google's
                client raises errors of its own, see `is_of_storage`.
        """
        with being_written(folder) as unfinished:
            unfinished.mkdir(parents=True)
            self._checkpoint.write(os.fspath(unfinished / _STATE))
            files = sorted(path for path in unfinished.iterdir() if path.name.startswith(f"{_STATE}."))
            record = {
                "step": step,
                "standing": validation_state.to_json(),  # The key stays, so that old checkpoints load.
                "variables": self._shapes,
                "files": {path.name: storage.file_digest(path) for path in files},
            }
            (unfinished / RECORD).write_text(json.dumps(record, indent=1))

    def read(self, folder: epath.Path) -> ValidationState:
        """Reads a checkpoint into the variables.

        Raises:
            DamagedError: The checkpoint is damaged.
            UserError: The checkpoint is of another model or optimizer, or cannot be read.
        """
        record = _read_record(folder)
        if record.variables != self._shapes:
            raise _other_model_error(folder)
        _verify_files(folder, record)
        try:
            with storage.without_wildcards(folder) as name:
                self._checkpoint.read(f"{name}/{_STATE}").assert_consumed()
        except AssertionError as error:
            raise _other_model_error(folder) from error
        except Exception as error:  # The files have just been found to be intact.
            if not is_of_storage(error):
                raise
            raise unreadable_error(folder, error) from error
        return record.validation_state


@contextlib.contextmanager
def being_written(folder: epath.Path) -> Iterator[epath.Path]:
    """Yields where to write a checkpoint, with its record last. When the block ends, it takes the place of `folder`.

    What an earlier writer left there is removed before. After an error, an old checkpoint is still in its place on this
    machine, but not in a bucket.
    """
    renames = not storage.is_remote(folder)
    unfinished = folder.with_name(folder.name + storage.UNFINISHED) if renames else folder
    storage.remove_tree(unfinished)
    yield unfinished
    if renames:
        storage.remove_tree(folder)
        unfinished.rename(folder)


def is_unfinished(folder: epath.Path) -> bool:
    """Returns whether a checkpoint is unfinished: it is still being written, or its writer was killed.

    Raises:
        UserError: The storage does not say.
    """
    if folder.name.endswith(storage.UNFINISHED):
        return True
    if not storage.is_remote(folder):
        return False
    with _read_errors(folder):
        return not (folder / RECORD).exists()


def verify(folder: epath.Path) -> None:
    """Compares the files of a checkpoint with their digests.

    Raises:
        DamagedError: A file is gone, or is not as it was written.
        UserError: A file cannot be read.
    """
    _verify_files(folder, _read_record(folder))


def is_of_storage(error: Exception) -> bool:
    """Returns whether an error is one of a file system or of Cloud Storage, with TensorFlow's client or Google's."""
    if isinstance(error, UserError):
        return False
    return isinstance(error, OSError | tf.errors.OpError) or file_errors.as_user_error(error, place="") is not None


def reason(error: Exception) -> str:
    """Returns the message of an error of a file system or of Cloud Storage, without the path."""
    if isinstance(error, OSError) and error.strerror:
        return error.strerror
    return error.message.partition("\n")[0] if isinstance(error, tf.errors.OpError) else file_errors.reason(error)


def unreadable_error(folder: epath.Path, error: Exception) -> UserError:
    """Returns the error of files that may be intact, but cannot be read now."""
    return UserError(
        f"The checkpoint {folder} cannot be read ({reason(error)}), and nothing is changed: make it readable, or wait "
        "until the storage answers, and run the same command again."
    )


def _other_model_error(folder: epath.Path) -> UserError:
    return UserError(
        f"The checkpoint {folder} is of another model or optimizer: remove {folder.parent} to train from the start, or "
        "train with the config and the code that wrote it."
    )


@dataclasses.dataclass(frozen=True, kw_only=True)
class _Record:
    """The content of checkpoint.json.

    Attributes:
        validation_state: The validation state.
        variables: Data type and shape of each variable.
        files: Name of a file -> its digest.
    """

    validation_state: ValidationState
    variables: Sequence[str]
    files: Mapping[str, storage.FileDigest]


def _read_record(folder: epath.Path) -> _Record:
    try:
        with _read_errors(folder):
            record = json.loads((folder / RECORD).read_text())
        return _Record(
            validation_state=ValidationState.from_json(record["standing"]),
            variables=record["variables"],
            files={name: storage.FileDigest(*digest) for name, digest in record["files"].items()},
        )
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise DamagedError(f"{RECORD} is not as it was written ({error})") from error


def _verify_files(folder: epath.Path, record: _Record) -> None:
    for name, digest in record.files.items():
        with _read_errors(folder):
            found = storage.file_digest(folder / name)
        if found != digest:
            raise DamagedError(f"{name} is not as it was written")


@contextlib.contextmanager
def _read_errors(folder: epath.Path) -> Iterator[None]:
    """Tells a file that is gone from one that cannot be read."""
    try:
        yield
    except (FileNotFoundError, tf.errors.NotFoundError) as error:
        raise DamagedError(f"a file is gone ({error})") from error
    except Exception as error:
        if not is_of_storage(error):
            raise
        raise unreadable_error(folder, error) from error


class _NamedVariables(tf.Module):
    """Gives each variable a unique name in the checkpoint. Keras' paths are not unique."""

    def __init__(self, variables: Sequence[keras.Variable]):
        super().__init__()
        for index, variable in enumerate(variables):
            setattr(self, f"variable_{index}", variable.value)
