"""The SavedModel of a small model, exported once for all processes of a test run, because that takes long."""

import fcntl
import os
import pathlib

import keras

from components.exporter import saved_model
from models import dual
from models.config import ModelConfig


def small_model():
    """Builds the model, with the same weights each time."""
    keras.utils.set_random_seed(0)
    return dual.DualEncoder(ModelConfig(width=1 / 32, crop_seconds=0.5))


def small(tmp_path_factory):
    """Returns the folder of its SavedModel, as a string. Tests share it, and copy it before they change anything."""
    folder = _shared(tmp_path_factory) / "small" / "model"
    folder.parent.mkdir(exist_ok=True)
    with (folder.parent / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not folder.exists():
            unfinished = folder.with_name("unfinished")
            saved_model.export(small_model(), unfinished)
            unfinished.rename(folder)
    return str(folder)


def _shared(tmp_path_factory) -> pathlib.Path:
    """Returns the temporary folder of the run, which pytest's processes share."""
    base = tmp_path_factory.getbasetemp()
    return base.parent if "PYTEST_XDIST_WORKER" in os.environ else base
