import keras
import pytest

from components.exporter import saved_model
from models import dual
from models.config import ModelConfig
from pipeline.metadata import sqlite, store


@pytest.fixture(params=["mlmd", "sqlite"])
def either_store(request, monkeypatch):
    """Metadata kept by ML Metadata, then by our own writer of its tables."""
    if request.param == "mlmd":
        pytest.importorskip("ml_metadata", reason="ml-metadata has no build for this Python")
    else:
        monkeypatch.setattr(store, "open_records", sqlite.SqliteRecords)


@pytest.fixture(scope="module")
def model():
    """A small model."""
    keras.utils.set_random_seed(0)
    return dual.DualEncoder(ModelConfig(width=1 / 32, crop_seconds=0.5))


@pytest.fixture(scope="module")
def exported(model, tmp_path_factory):
    """The folder of the SavedModel of `model`."""
    folder = tmp_path_factory.mktemp("model")
    saved_model.export(model, folder)
    return str(folder)
