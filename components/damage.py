"""Names the damaged file if a stage fails because its examples do not hold what was written."""

import contextlib
from collections.abc import Iterable, Iterator

from etils import epath

from beam_jobs import examples
from components.errors import DamagedFile

_ERRORS_OF_READING = (
    "DataLossError",
    "FailedPreconditionError",
    "InvalidArgumentError",
    "NotFoundError",
    "OutOfRangeError",
    "PermissionDeniedError",
    "UnknownError",
)
"""TensorFlow's errors, by name because importing TensorFlow takes seconds. They do not name the file."""


@contextlib.contextmanager
def naming_damaged_examples(folders: Iterable[epath.Path]) -> Iterator[None]:
    """Makes an error of reading examples name the damaged file, for which their files are read once more.

    Args:
        folders: The folders of examples that the block reads.

    Raises:
        DamagedFile: The block failed, and a file of the folders is damaged.
    """
    try:
        yield
    except examples.DamagedFileError as error:
        raise DamagedFile(str(error)) from error
    except Exception as error:
        if type(error).__name__ in _ERRORS_OF_READING:
            for folder in folders:
                _check(folder, error)
        raise


def _check(folder: epath.Path, error: Exception) -> None:
    try:
        examples.check_folder(folder)
    except examples.DamagedFileError as damage:
        raise DamagedFile(str(damage)) from error
