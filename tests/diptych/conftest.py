import keras
import pytest

import diptych
from components.exporter import saved_model
from models import dual
from models.config import ModelConfig
from tests.diptych import small_model


@pytest.fixture(scope="session", params=["small", pytest.param("exported", marks=pytest.mark.slow)])
def exported(request, tmp_path_factory):
    """The folder of a SavedModel with windows of half a second at 16 kHz: one made for tests, and the Exporter's."""
    folder = tmp_path_factory.mktemp(request.param) / "7"
    if request.param == "small":
        small_model.write(folder)
    else:
        keras.utils.set_random_seed(0)
        saved_model.export(dual.DualEncoder(ModelConfig(width=1 / 32, crop_seconds=0.5)), folder)
    return folder


@pytest.fixture(scope="session")
def embedder(exported):
    return diptych.load(exported)
