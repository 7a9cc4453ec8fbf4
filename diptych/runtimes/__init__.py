"""Loads exported models. `runtime` says what they have in common; there is a module for each kind."""

import importlib
import os
from collections.abc import Mapping

from components.errors import UserError
from diptych.errors import DiptychError
from diptych.runtimes import places
from diptych.runtimes.runtime import Frames, Runtime

__all__ = ["FILES", "Frames", "Runtime", "is_file", "library", "load"]

FILES: Mapping[str, str] = {".onnx": "diptych.runtimes.onnx", ".tflite": "diptych.runtimes.litert"}
"""Suffix of a model that is one file -> the module that loads it. A SavedModel is a folder.

Each module has the functions `load(path: str) -> Runtime` and `library(path: str) -> str`, and is imported when it is
needed: it needs a library of its own.
"""


def is_file(path: str | os.PathLike[str]) -> bool:
    """Returns whether a path, which need not exist, has the name of a model that is one file."""
    return os.path.splitext(path)[1].lower() in FILES and not os.path.isdir(path)


def library(file: str) -> str:
    """Returns name and version of the library that runs a model that is one file, e.g. "onnxruntime 1.20.1".

    Raises:
        DiptychError: It is not installed.
    """
    return importlib.import_module(FILES[os.path.splitext(file)[1].lower()]).library(file)


def load(path: str | os.PathLike[str]) -> Runtime:
    """Loads a model; see `diptych.load`."""
    place = places.find(path, suffixes=tuple(FILES))
    module = FILES.get(os.path.splitext(place)[1].lower(), "diptych.runtimes.savedmodel")
    try:
        return importlib.import_module(module).load(place)
    except ModuleNotFoundError as error:
        raise DiptychError(f"{place} needs the package {error.name}: install it.") from error
    except DiptychError:
        raise
    except UserError as error:
        raise DiptychError(str(error)) from error
