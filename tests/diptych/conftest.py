import keras
import pytest

import diptych
from components.exporter import saved_model
from models import dual
from models.config import ModelConfig


@pytest.fixture(scope="session")
def exported(tmp_path_factory):
    """The folder of a small model's SavedModel, with windows of half a second at 16 kHz."""
    keras.utils.set_random_seed(0)
    folder = tmp_path_factory.mktemp("exported") / "7"
    saved_model.export(dual.DualEncoder(ModelConfig(width=1 / 32, crop_seconds=0.5)), folder)
    return folder


@pytest.fixture(scope="session")
def embedder(exported):
    return diptych.load(exported)
