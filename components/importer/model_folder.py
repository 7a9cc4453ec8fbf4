"""Reads the folder of a trained model without Keras, which takes seconds to load."""

import contextlib
import json
import os
import zipfile
import zlib
from collections.abc import Iterator

from etils import epath

from components import keras_config
from components.errors import DamagedFile, UserError
from components.keras_config import KerasConfig

MODEL, INITIAL_MODEL, TRAINING = "model.keras", "initial.keras", "training.json"
FILES = (MODEL, INITIAL_MODEL, TRAINING)
"""The files in the folder: the trained model, the same model before training, and a record of the training."""


def read_model_config(folder: str) -> KerasConfig:
    """Reads the config of a model from its `.keras` file, and checks the other files of the folder.

    Args:
        folder: The model's folder.

    Raises:
        DamagedFile: A file is damaged.
        UserError: The folder does not hold a model, or it cannot be read.
    """
    for name in FILES:
        if not (epath.Path(folder) / name).exists():
            raise UserError(
                f"importer.model: {folder} has no {name}; give the folder that `diptych import-panns` or a Trainer "
                "wrote (--import)."
            )
    configs = {name: _read_config(epath.Path(folder) / name) for name in (MODEL, INITIAL_MODEL)}
    _check_record(epath.Path(folder) / TRAINING)
    return configs[MODEL]


def _read_config(path: epath.Path) -> KerasConfig:
    with _opened(path) as archive:
        try:
            return keras_config.read(archive)
        except keras_config.ForeignModelError as error:
            raise UserError(f"importer.model: {path} {error}: give another folder.") from error


def _check_record(path: epath.Path) -> None:
    """Checks that the record of the training can be read. The Exporter reads it only after all audio is decoded."""
    with _errors_explained(path):
        if not isinstance(json.loads(path.read_text()), dict):
            raise ValueError("not an object")


def check_checksums(folder: epath.Path) -> None:
    """Compares the `.keras` files in a folder with the checksums that they contain.

    Raises:
        DamagedFile: One is damaged.
        UserError: One cannot be read.
    """
    for name in (MODEL, INITIAL_MODEL):
        with _opened(folder / name) as archive:
            damaged = archive.testzip()
        if damaged is not None:
            raise _damaged(folder / name)


@contextlib.contextmanager
def _opened(path: epath.Path) -> Iterator[zipfile.ZipFile]:
    """Opens a `.keras` file. Errors within the `with` block name the file."""
    with _errors_explained(path), path.open("rb") as file, zipfile.ZipFile(file) as archive:
        yield archive


@contextlib.contextmanager
def _errors_explained(path: epath.Path) -> Iterator[None]:
    try:
        yield
    except (zipfile.BadZipFile, zlib.error, EOFError, KeyError, ValueError) as error:
        raise _damaged(path) from error
    except OSError as error:
        raise UserError(
            f"importer.model: {path} cannot be read ({error.strerror}): make it readable, or give another folder."
        ) from error


def _damaged(path: epath.Path) -> DamagedFile:
    message = f"importer.model: {path} is damaged: import the network, or copy the trained model, again."
    return DamagedFile(message, path=os.fspath(path))
