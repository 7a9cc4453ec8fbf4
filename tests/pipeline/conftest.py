import pytest

from pipeline.metadata import sqlite, store


@pytest.fixture(params=["mlmd", "sqlite"])
def either_store(request, monkeypatch):
    """Metadata kept by ML Metadata, then by our own writer of its tables."""
    if request.param == "mlmd":
        pytest.importorskip("ml_metadata", reason="ml-metadata has no build for this Python")
    else:
        monkeypatch.setattr(store, "open_records", sqlite.SqliteRecords)
