"""The SavedModel of a small model, exported once for all processes of a test run."""

import keras

from components.exporter import saved_model
from models import dual
from models.config import ModelConfig
from tests import shared


def small_model():
    """Builds the model, with the same weights each time."""
    keras.utils.set_random_seed(0)
    return dual.DualEncoder(ModelConfig(width=1 / 32, crop_seconds=0.5))


def small(tmp_path_factory):
    """Returns the folder of its SavedModel, as a string. Tests share it, and copy it before they change anything."""

    def export(folder):
        saved_model.export(small_model(), folder / "model")
        return str(folder / "model")

    return shared.once(tmp_path_factory, "small", export)
