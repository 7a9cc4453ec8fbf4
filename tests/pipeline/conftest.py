import pytest

from pipeline.metadata import sqlite, store
from tests import exports


@pytest.fixture(autouse=True)
def _blank_pictures(blank_pictures):
    """What stages draw is tested with them."""


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
    return exports.small_model()


@pytest.fixture(scope="session")
def exported(tmp_path_factory):
    """The folder of the SavedModel of `model`."""
    return exports.small(tmp_path_factory)
