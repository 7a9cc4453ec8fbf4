"""SQLite stores that the package ml-metadata opens, to compare our own reader and writer with."""

import pytest


def open_records(path):
    """Returns records that ML Metadata keeps in a SQLite file, as earlier versions of Diptych did by default."""
    pytest.importorskip("ml_metadata", reason="ml-metadata has no build for this Python")
    # Imported here because ml-metadata may be missing.
    from ml_metadata.proto import metadata_store_pb2 as pb

    from pipeline.metadata import mlmd

    config = pb.ConnectionConfig()
    config.sqlite.filename_uri = str(path)
    config.sqlite.connection_mode = pb.SqliteMetadataSourceConfig.READWRITE_OPENCREATE
    return mlmd.MlmdRecords(config)
