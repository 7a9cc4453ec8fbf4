"""A store of ours has the tables and indexes that ML Metadata creates."""

import contextlib
import sqlite3

from pipeline.metadata.sqlite import SqliteRecords
from tests.pipeline.metadata import mlmd_stores


def schema(path):
    """Returns the columns and the indexes of each table."""
    with contextlib.closing(sqlite3.connect(path)) as database:
        names = [name for (name,) in database.execute("SELECT name FROM sqlite_master WHERE type = 'table'")]
        return {
            name: (
                [column[1:] for column in database.execute(f"PRAGMA table_info({name})")],
                {_index(database, *index[1:]) for index in database.execute(f"PRAGMA index_list({name})").fetchall()},
            )
            for name in names
        }


def _index(database, name, is_unique, origin, is_partial):
    columns = tuple(column[2] for column in database.execute(f"PRAGMA index_info({name})"))
    return (name if origin == "c" else "", is_unique, is_partial, columns)


def test_they_are_the_same(tmp_path):
    mlmd_stores.open_records(tmp_path / "theirs")
    SqliteRecords(str(tmp_path / "ours"))
    assert schema(tmp_path / "ours") == schema(tmp_path / "theirs")


def test_a_store_of_an_earlier_version_gets_its_indexes_and_keeps_its_records(tmp_path):
    from tests.pipeline.metadata.test_records import content, fill

    path = tmp_path / "metadata.sqlite"
    fill(SqliteRecords(str(path)))
    whole = schema(path)
    with contextlib.closing(sqlite3.connect(path)) as database:
        names = database.execute("SELECT name FROM sqlite_master WHERE type = 'index' AND sql IS NOT NULL").fetchall()
        for (name,) in names:
            database.execute(f"DROP INDEX {name}")
    assert schema(path) != whole
    before = content(SqliteRecords(str(path)))
    assert schema(path) == whole
    assert content(SqliteRecords(str(path))) == before
