"""Finds the versions of a model, in the layout in which the Pusher writes them and TensorFlow Serving reads them."""

import dataclasses
import os

from beam_jobs import storage
from components import model_versions
from components.errors import UserError
from diptych import bundled, runtimes


@dataclasses.dataclass(frozen=True)
class Version:
    """A SavedModel, or a file for another runtime.

    Attributes:
        number: Its version.
        place: Its folder, or the file.
    """

    number: int
    place: str


def is_single(model: str) -> bool:
    """Returns whether a model is one SavedModel or file, and not a folder of versions."""
    return runtimes.is_file(model) or model_versions.is_saved_model(model)


def newest(model: str) -> Version | None:
    """Returns the version to serve, or None if there is none yet; see `complete`."""
    return next(iter(complete(model)), None)


def complete(model: str) -> list[Version]:
    """Returns the versions that can be served, the newest first.

    Args:
        model: A SavedModel, a file for another runtime, or a folder of versions: of the folders in it whose names are
            numbers, those that hold a SavedModel. The Pusher gives a folder such a name, or its
            saved_model.pb, when it is complete.
    """
    if runtimes.is_file(model) and not os.path.exists(model):
        return []
    if is_single(model):
        name = os.path.basename(os.path.abspath(model))
        return [Version(int(name) if model_versions.is_number(name) else 1, model)]
    if not storage.is_folder(model):
        return []
    return [Version(*found) for found in model_versions.complete(model)]


def to_begin_with(model: str) -> list[Version]:
    """Returns the versions of which the first that can be loaded is served, the newest first.

    Raises:
        UserError: There is none.
    """
    found = complete(model)
    if found:
        return found
    problem = "does not exist" if runtimes.is_file(model) else "holds no SavedModel"
    raise UserError(
        f"--model {model} {problem}: give the folder that `diptych run` prints last, the pusher.destination, which "
        f"holds one folder for each version, or a .tflite or .onnx file{bundled.choices()}."
    )
