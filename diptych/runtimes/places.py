"""Finds the model that a path means."""

import os
import pathlib
from collections.abc import Sequence

from beam_jobs import storage
from diptych.errors import DiptychError, MissingError

MODEL_FILE = "saved_model.pb"
"""What every SavedModel has at its top."""


def find(path: str | os.PathLike[str], *, suffixes: Sequence[str]) -> str:
    """Returns the place of the model that a path means.

    Args:
        path: A SavedModel, a folder of numbered ones (that of a model server, which serves the highest), or a file.
        suffixes: Those of the files that can be loaded, in lower case.

    Raises:
        DiptychError: There is no model, or one of another kind.
    """
    if not isinstance(path, str | os.PathLike):
        raise DiptychError(f"The model is given as {type(path).__name__}: give the path of a folder or file.")
    name = os.fspath(path)
    try:
        place = storage.open_path(name)
        if place.is_dir():
            return os.fspath(_saved_model(place))
        exists = place.exists()
    except (ImportError, OSError) as error:
        raise DiptychError(f"{name} cannot be read ({error}).") from error
    way_out = "give the SavedModel that `diptych run` or the Exporter wrote, or a folder of numbered ones"
    if not exists:
        raise MissingError(f"There is no model {name}: {way_out}.")
    if not name.lower().endswith(tuple(suffixes)):
        also = "".join(f", or a {suffix} file" for suffix in suffixes)
        raise DiptychError(f"{name} is a file of another kind: {way_out}{also}.")
    return name


def _saved_model(folder: pathlib.Path) -> pathlib.Path:
    """Returns a folder if it is a SavedModel, else the highest-numbered one in it."""
    if (folder / MODEL_FILE).exists():
        return folder
    versions = [entry for entry in folder.iterdir() if entry.name.isdecimal() and (entry / MODEL_FILE).exists()]
    if not versions:
        raise DiptychError(
            f"{folder} is no SavedModel, and has no numbered folder that is one: give the folder that `diptych run` "
            "prints last."
        )
    return max(versions, key=lambda version: int(version.name))
