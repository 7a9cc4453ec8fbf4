"""Keeps records in ML Metadata's SQLite tables, with Python's own SQLite.

This is the writer of the default store on every Python. ML Metadata opens a file that this module wrote, and this
module continues a file that ML Metadata wrote (release 1.17.1), as it did for earlier versions of Diptych.
"""

import contextlib
import os
import pathlib
import shutil
import sqlite3
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence

from pipeline.metadata import tables
from pipeline.metadata.records import Event, Record, Value
from pipeline.metadata.sqlite_reading import INPUT_EVENT, OUTPUT_EVENT, TYPE_KINDS, SqliteReader, Table, owner_column

LOCK_TIMEOUT_S = 30.0

Error = sqlite3.Error
"""What this module raises if a file cannot be read or written."""

_JOURNAL = "-journal"
"""Suffix of the file that holds what an unfinished transaction has overwritten."""


class SqliteRecords(SqliteReader):
    """Implements `Records`.

    Args:
        path: The SQLite file, which is created if it does not exist.
    """

    def __init__(self, path: str):
        super().__init__(_connect(path))
        if not _has(self._db, "MLMDEnv"):
            self._db.executescript(tables.CREATE)
        if not _has(self._db, tables.LAST_INDEX):
            self._db.executescript(tables.CREATE_INDEXES)

    def put_context(self, context: Record) -> None:
        with self._transaction():
            self._put("Context", context, {"name": context.name})

    def put_artifact(self, artifact: Record) -> None:
        with self._transaction():
            self._put("Artifact", artifact, {"uri": artifact.uri, "state": artifact.state})

    def put_execution(
        self, execution: Record, *, events: Sequence[Event], contexts: Sequence[Record], new_id: int = 0
    ) -> None:
        with self._transaction():
            self._put("Execution", execution, {"last_known_state": execution.state}, new_id=new_id)
            for event in events:
                artifact = event.artifact
                self._put("Artifact", artifact, {"uri": artifact.uri, "state": artifact.state})
                self._put_event(event, execution)
            for context in contexts:
                self._db.execute(
                    "INSERT OR IGNORE INTO Association (context_id, execution_id) VALUES (?, ?)",
                    [context.id, execution.id],
                )
                for event in events:
                    self._db.execute(
                        "INSERT OR IGNORE INTO Attribution (context_id, artifact_id) VALUES (?, ?)",
                        [context.id, event.artifact.id],
                    )

    @contextlib.contextmanager
    def _transaction(self) -> Iterator[None]:
        """Keeps processes of other roots out from the first read on, so that no two take the same id."""
        with self._db:
            self._db.execute("BEGIN IMMEDIATE")
            yield

    def _put(self, table: Table, record: Record, columns: Mapping[str, str | int], *, new_id: int = 0) -> None:
        """Inserts or updates a record with its properties.

        Args:
            table: Where records of this kind are.
            record: Gets an id if it has none.
            columns: Values of the columns that only this kind of record has.
            new_id: The lowest id that a new record may get.
        """
        now = _now_ms()
        values: dict[str, str | int] = {**columns, "last_update_time_since_epoch": now}
        if record.id is None:
            values["type_id"] = self._type_id(table, record.type)
            values["create_time_since_epoch"] = now
            if new_id:
                (newest,) = self._db.execute(f"SELECT coalesce(max(id), 0) FROM {table}").fetchone()
                values["id"] = max(new_id, newest + 1)
            marks = ", ".join("?" for _ in values)
            sql = f"INSERT INTO {table} ({', '.join(values)}) VALUES ({marks})"
            record.id = self._db.execute(sql, list(values.values())).lastrowid
        else:
            assignments = ", ".join(f"{column} = ?" for column in values)
            self._db.execute(f"UPDATE {table} SET {assignments} WHERE id = ?", [*values.values(), record.id])
        self._put_properties(table, record)

    def _put_properties(self, table: Table, record: Record) -> None:
        owner = owner_column(table)
        self._db.execute(f"DELETE FROM {table}Property WHERE {owner} = ?", [record.id])
        for name, value in record.properties.items():
            self._db.execute(
                f"INSERT INTO {table}Property ({owner}, name, is_custom_property, {_value_column(value)}) "
                "VALUES (?, ?, 1, ?)",
                [record.id, name, value],
            )

    def _put_event(self, event: Event, execution: Record) -> None:
        event.execution_id = execution.id
        event_id = self._db.execute(
            "INSERT INTO Event (artifact_id, execution_id, type, milliseconds_since_epoch) VALUES (?, ?, ?, ?)",
            [event.artifact.id, execution.id, OUTPUT_EVENT if event.output else INPUT_EVENT, _now_ms()],
        ).lastrowid
        self._db.execute(
            "INSERT INTO EventPath (event_id, is_index_step, step_key) VALUES (?, 0, ?)", [event_id, event.channel]
        )

    def _type_id(self, table: Table, name: str) -> int:
        """Returns the id of a record type, which is created if it does not exist."""
        key = [name, TYPE_KINDS[table]]
        row = self._db.execute("SELECT id FROM Type WHERE name = ? AND type_kind = ?", key).fetchone()
        if row is not None:
            return row["id"]
        return self._db.execute("INSERT INTO Type (name, type_kind) VALUES (?, ?)", key).lastrowid


class ReadOnlySqliteRecords(SqliteRecords):
    """Reads a SQLite file without writing anything beside it, also where nothing can be written or locked.

    Args:
        path: The SQLite file. If it does not exist, or nothing has been written to it yet, the store is empty.
    """

    def __init__(self, path: str):
        if not pathlib.Path(path).exists():
            super().__init__(":memory:")
            return
        try:
            self._db = _connect(f"{pathlib.Path(path).absolute().as_uri()}?mode=ro", uri=True)
            has_tables = _has(self._db, "MLMDEnv")  # Nothing is opened before it is read.
        except sqlite3.OperationalError:
            # SQLite locks a file that it reads, and first undoes what a killed process has left half-written. Where it
            # may do neither, it does so in a copy.
            self._copy = tempfile.TemporaryDirectory(prefix="diptych-")
            copy = shutil.copy(path, self._copy.name)
            if os.path.exists(path + _JOURNAL):
                shutil.copy(path + _JOURNAL, self._copy.name)
            self._db = _connect(copy)
            has_tables = _has(self._db, "MLMDEnv")
        if not has_tables:  # A run was killed, or is starting, before it has created them.
            super().__init__(":memory:")


def _connect(path: str, *, uri: bool = False) -> sqlite3.Connection:
    db = sqlite3.connect(path, timeout=LOCK_TIMEOUT_S, uri=uri)
    db.row_factory = sqlite3.Row
    return db


def _has(db: sqlite3.Connection, name: str) -> bool:
    """Returns whether a database has a table or an index."""
    return db.execute("SELECT 1 FROM sqlite_master WHERE name = ?", [name]).fetchone() is not None


def _value_column(value: Value) -> str:
    if isinstance(value, int):
        return "int_value"
    if isinstance(value, float):
        return "double_value"
    return "string_value"


def _now_ms() -> int:
    return time.time_ns() // 1_000_000
