"""Reads files out of a wheel, which is a zip archive, or out of a folder into which one was unpacked."""

import contextlib
import zipfile
import zlib
from collections.abc import Callable, Iterator, Sequence

from etils import epath

from beam_jobs import storage
from components.errors import UserError


def find(package: str, names: Sequence[str]) -> None:
    """Checks that a package has files, see `read`, without reading them."""
    with _opened(package) as (paths, _):
        _matching(paths, names, package=package)


def read(package: str, names: Sequence[str]) -> list[bytes]:
    """Returns the contents of files in a package. No code of the package runs.

    Args:
        package: A wheel, or a folder.
        names: The last parts of their paths, e.g. "MTT_vgg/.index". The first file that ends so is read.

    Raises:
        UserError: The package or one of the files is missing, damaged or unreadable.
    """
    with _opened(package) as (paths, read_file):
        return [read_file(path) for path in _matching(paths, names, package=package)]


@contextlib.contextmanager
def _opened(package: str) -> Iterator[tuple[Sequence[str], Callable[[str], bytes]]]:
    """Yields the paths of the files in a package, and a function that reads one."""
    try:
        if storage.is_folder(package):
            yield list(storage.file_sizes(package)), lambda path: (epath.Path(package) / path).read_bytes()
            return
        with epath.Path(package).open("rb") as file, zipfile.ZipFile(file) as archive:
            yield archive.namelist(), archive.read
    except (zipfile.BadZipFile, zlib.error, EOFError, RuntimeError) as error:  # RuntimeError: it is encrypted.
        raise UserError(f"{package} is not a wheel, or is damaged ({error}): download it again.") from error
    except OSError as error:
        raise UserError(f"{package} cannot be read ({error.strerror or error}): name another file.") from error


def _matching(paths: Sequence[str], names: Sequence[str], *, package: str) -> list[str]:
    """Returns the first path that ends in each of the names.

    Raises:
        UserError: There is none.
    """
    found = []
    for name in names:
        matching = [path for path in paths if f"/{path}".endswith(f"/{name}")]
        if not matching:
            raise UserError(f"{package} holds no {name}: name a package that does.")
        found.append(matching[0])
    return found
