"""Names the damaged file if a stage fails because its examples or embeddings do not hold what was written."""

import contextlib
from collections.abc import Iterable, Iterator

from absl import logging
from etils import epath

from beam_jobs import examples
from components import file_errors
from components.errors import DamagedFile

_ERRORS_OF_READING = ("DataLossError", "FailedPreconditionError", "NotFoundError", "OutOfRangeError")
"""TensorFlow's errors, by name because importing TensorFlow takes seconds. They do not name the file."""

_DAMAGED_EMBEDDINGS = "DamagedEmbeddingsError"
"""Its reader names the file. By name, because it imports PyArrow."""


@contextlib.contextmanager
def named(folders: Iterable[epath.Path]) -> Iterator[None]:
    """Makes an error of reading examples name the damaged file, for which their files are read once more.

    An error that tells another cause, such as a wrong shape or a file that this user may not read, passes at once.

    Args:
        folders: The folders of examples that the block reads.

    Raises:
        DamagedFile: The block failed, and a file of the folders is damaged.
    """
    try:
        yield
    except examples.DamagedExamplesError as error:
        raise DamagedFile(str(error), path=error.path) from error
    except Exception as error:
        if type(error).__name__ == _DAMAGED_EMBEDDINGS:
            raise DamagedFile(str(error), path=error.path) from error
        if type(error).__name__ in _ERRORS_OF_READING and file_errors.as_user_error(error, place="") is None:
            for folder in folders:
                _check(folder, error)
        raise


def _check(folder: epath.Path, error: Exception) -> None:
    logging.warning("%s does not hold what was written; reading it to find the damaged file", folder)
    try:
        examples.check_folder(folder)
    except examples.DamagedExamplesError as damage:
        raise DamagedFile(str(damage), path=damage.path) from error
