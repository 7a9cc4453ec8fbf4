"""Finds the model that a path means."""

import os
from collections.abc import Sequence

from beam_jobs import storage
from components import file_errors, model_versions
from diptych import bundled
from diptych.errors import DiptychError, MissingError


def find(path: str | os.PathLike[str], *, suffixes: Sequence[str]) -> str:
    """Returns the place of the model that a path means.

    Args:
        path: A SavedModel, a folder of numbered ones (that of a model server, which serves the highest), a file, or the
            name of a bundled model.
        suffixes: Those of the files that can be loaded, in lower case.

    Raises:
        DiptychError: There is no model, or one of another kind.
    """
    if not isinstance(path, str | os.PathLike):
        raise DiptychError(f"The model is given as {type(path).__name__}: give the path of a folder or file.")
    name = bundled.resolve(os.fspath(path))
    way_out = "give the SavedModel that `diptych run` or the Exporter wrote, or a folder of numbered ones"
    if not name:  # It would mean the current folder.
        raise MissingError(f"The path of the model is empty: {way_out}{bundled.choices()}.")
    try:
        place = storage.open_path(name)
        if place.is_dir():
            return _saved_model(os.fspath(place))
        exists = place.exists()
    except storage.UrlError as error:
        raise DiptychError(f"{error}.") from error
    except (ImportError, OSError) as error:
        raise DiptychError(f"{name} cannot be read ({error}).") from error
    except Exception as error:  # Google's clients raise errors of many types.
        known = file_errors.as_user_error(error, place=name)
        if known is None or known is error:
            raise
        raise DiptychError(str(known)) from error
    if not exists:
        raise MissingError(f"There is no model {name}: {way_out}{bundled.choices()}.")
    if not name.lower().endswith(tuple(suffixes)):
        also = "".join(f", or a {suffix} file" for suffix in suffixes)
        raise DiptychError(f"{name} is a file of another kind: {way_out}{also}.")
    return name


def _saved_model(folder: str) -> str:
    """Returns a folder if it is a SavedModel, else the highest-numbered one in it."""
    if model_versions.is_saved_model(folder):
        return folder
    found = model_versions.newest(folder)
    if found is None:
        raise DiptychError(
            f"{folder} is no SavedModel, and has no numbered folder that is one: give the folder that `diptych run` "
            "prints last."
        )
    return found[1]
