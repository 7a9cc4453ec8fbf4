"""Paths as users type them."""

import pathlib

from beam_jobs import storage


def absolute(path: str) -> str:
    """Returns a local path as absolute, with ~ expanded, and a remote path such as gs://bucket/name unchanged."""
    if storage.is_remote(path):
        return path
    return str(pathlib.Path(path).expanduser().absolute())
