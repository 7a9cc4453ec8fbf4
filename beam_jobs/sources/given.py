"""Finds the audio among files and folders that a user gave one by one, for `diptych embed`."""

import errno
import os
from collections import Counter
from collections.abc import Sequence
from typing import NamedTuple

from beam_jobs import storage
from beam_jobs.sources import files
from beam_jobs.sources.clips import nonzero


class Given(NamedTuple):
    """What a user gave.

    Attributes:
        files: Paths of the files to read: what was given itself, whatever its suffix, and the audio below folders.
        unreadable: Path of a folder, a link, a pipe or the like that cannot be read -> the reason.
        left_out: What it is -> number of files below the folders that are not read.
    """

    files: list[str]
    unreadable: dict[str, str]
    left_out: dict[str, int]


def find(paths: Sequence[str]) -> Given:
    """Finds the files to read, in the order of what was given. See `files.walk` for what is below a folder.

    Args:
        paths: Files and folders, local or remote.

    Raises:
        FileNotFoundError: One of them does not exist. It is the only argument of the error.
        OSError: The file system does not say whether one of them exists.
    """
    found: list[str] = []
    unreadable: dict[str, str] = {}
    left_out: Counter[str] = Counter()
    for path in paths:
        if not is_folder(path):
            if storage.is_no_file(path):
                unreadable[path] = storage.NO_FILE
            else:
                found.append(path)
            continue
        try:
            below = files.walk(path)
        except OSError as error:
            unreadable[path] = error.strerror or str(error)
            continue
        found += (_join(path, name) for name in below.audio if name not in below.repeated)
        unreadable.update({_join(path, name): reason for name, reason in below.unreadable.items()})
        left_out.update(below.left_out(unread_tables=len(below.tables)))
        left_out[files.REPEATED] += len(below.repeated)
    return Given(found, unreadable, nonzero(left_out))


def is_folder(path: str) -> bool:
    """Returns whether a path is that of a folder, not of a file.

    Raises:
        FileNotFoundError: There is nothing. The path is the only argument of the error.
        OSError: The file system does not say.
    """
    try:
        if storage.is_folder(path):
            return True
        if storage.open_path(path).exists():
            return False
    except OSError as error:
        if error.errno != errno.ENAMETOOLONG:
            raise
    raise FileNotFoundError(path)


def _join(folder: str, name: str) -> str:
    """Returns the path of a file below a folder, without a "./" at the beginning."""
    return name if os.path.normpath(folder) == "." else os.path.join(folder, name)
