"""Finds the versions of a model, in the layout in which the Pusher writes them and TensorFlow Serving reads them."""

import dataclasses
import os

from etils import epath

from beam_jobs import storage
from components.errors import UserError

_MODEL_FILE = "saved_model.pb"


@dataclasses.dataclass(frozen=True)
class Version:
    """A SavedModel.

    Attributes:
        number: Its version.
        folder: Its folder.
    """

    number: int
    folder: str


def newest(model: str) -> Version | None:
    """Returns the version to serve, or None if there is none yet.

    Args:
        model: A SavedModel, or a folder of versions: of the folders in it whose names are numbers, the highest one that
            holds a SavedModel. The Pusher gives a folder such a name, or this file, when it is complete.
    """
    folder = epath.Path(model)
    if is_saved_model(model):
        name = os.path.basename(os.path.abspath(model))
        return Version(int(name) if _is_number(name) else 1, model)
    if not storage.is_folder(folder):
        return None
    numbers = [entry.name for entry in storage.entries(folder) if entry.is_folder and _is_number(entry.name)]
    complete = [name for name in numbers if (folder / name / _MODEL_FILE).exists()]
    return max((Version(int(name), os.fspath(folder / name)) for name in complete), key=_number, default=None)


def is_saved_model(model: str) -> bool:
    """Returns whether a folder is a SavedModel itself."""
    return (epath.Path(model) / _MODEL_FILE).exists()


def first(model: str) -> Version:
    """Returns the version to begin with.

    Raises:
        UserError: There is none.
    """
    version = newest(model)
    if version is None:
        raise UserError(
            f"--model {model} holds no SavedModel: give the folder that `diptych run` prints last, or the "
            "pusher.destination, which holds one folder for each version."
        )
    return version


def _number(version: Version) -> int:
    return version.number


def _is_number(name: str) -> bool:
    return name.isascii() and name.isdigit()
