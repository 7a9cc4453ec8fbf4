"""Finds the versions of a model in a folder that a model server watches: sub-folders whose names are numbers."""

import os

from beam_jobs import storage

MODEL_FILE = "saved_model.pb"
"""What every SavedModel has at its top."""


LARGEST = 2**63 - 1
"""The largest version: TensorFlow Serving and the metadata keep a version in 64 bits with a sign."""


def is_number(name: str) -> bool:
    """Returns whether a folder of this name is a version."""
    return name.isascii() and name.isdigit() and int(name) <= LARGEST


def numbered(folder: str | os.PathLike[str]) -> list[tuple[int, str]]:
    """Returns number and path of each version, complete or not. The folder must exist."""
    place = storage.open_path(folder)
    entries = storage.entries(place)
    return [(int(one.name), os.fspath(place / one.name)) for one in entries if one.is_folder and is_number(one.name)]


def is_saved_model(folder: str | os.PathLike[str]) -> bool:
    """Returns whether a folder is a SavedModel itself."""
    return (storage.open_path(folder) / MODEL_FILE).exists()


def complete(folder: str | os.PathLike[str]) -> list[tuple[int, str]]:
    """Returns number and path of each version that holds a SavedModel, the highest first. The folder must exist."""
    return sorted((version for version in numbered(folder) if is_saved_model(version[1])), reverse=True)


def newest(folder: str | os.PathLike[str]) -> tuple[int, str] | None:
    """Returns number and path of the highest version that holds a SavedModel, or None. The folder must exist."""
    return next(iter(complete(folder)), None)
