"""Paths as users type them."""

import os
import pathlib
import unicodedata

from beam_jobs import storage


def absolute(path: str) -> str:
    """Returns a local path as absolute, with ~ expanded and without `..`, and a URL without a final slash."""
    if storage.is_remote(path):
        return storage.canonical(path)
    # Unlike pathlib's expanduser(), this leaves ~ as it is for a user without a home folder.
    absolute_path = pathlib.Path(os.path.expanduser(path)).absolute()
    # The folder above a link is that of its target, so a path with `..` cannot be shortened by its text.
    return storage.canonical(path) if ".." in absolute_path.parts else str(absolute_path)


def exists(path: str) -> bool:
    """Returns whether there is such a file or folder. A URL counts as existing.

    Raises:
        OSError: A folder on the way cannot be read. epath's exists() would return False.
    """
    return storage.is_remote(path) or pathlib.Path(path).exists()


def composed(path: str) -> str:
    """Returns a path with accented letters as one character each, not as two as macOS spells them."""
    return unicodedata.normalize("NFC", path)
