"""Keeps records in ML Metadata's SQLite tables without the package ml-metadata, which Python 3.12 has no build of.

ML Metadata opens a file that this module wrote, and this module opens a file that ML Metadata wrote (release 1.17.1).
"""

import os
import pathlib
import shutil
import sqlite3
import tempfile
import time
from collections.abc import Iterable, Mapping, Sequence
from typing import Literal

from pipeline.metadata import tables
from pipeline.metadata.records import Event, Record, Value

# Values of ML Metadata's enumerations.
TYPE_KINDS = {"Execution": 0, "Artifact": 1, "Context": 2}
INPUT_EVENT, OUTPUT_EVENT = 3, 4

LOCK_TIMEOUT_S = 30.0

Error = sqlite3.Error
"""What this module raises if a file cannot be read or written."""

_JOURNAL = "-journal"
"""Suffix of the file that holds what an unfinished transaction has overwritten."""

_Table = Literal["Artifact", "Execution", "Context"]


class SqliteRecords:
    """Implements `Records` with Python's own SQLite.

    Args:
        path: The SQLite file, which is created if it does not exist.
    """

    def __init__(self, path: str):
        self._db = _connect(path)
        if not _has_tables(self._db):
            self._db.executescript(tables.CREATE)

    def put_context(self, context: Record) -> None:
        with self._db:
            self._put("Context", context, {"name": context.name})

    def put_execution(self, execution: Record, *, events: Sequence[Event], contexts: Sequence[Record]) -> None:
        with self._db:
            self._put("Execution", execution, {"last_known_state": execution.state})
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

    def contexts(self, type_name: str) -> list[Record]:
        rows = self._db.execute(
            "SELECT Context.*, Type.name AS type_name FROM Context JOIN Type ON Type.id = Context.type_id "
            "WHERE Type.name = ? ORDER BY Context.id",
            [type_name],
        ).fetchall()
        return [self._record("Context", row) for row in rows]

    def executions(self, context: Record) -> list[Record]:
        rows = self._db.execute(
            "SELECT Execution.*, Type.name AS type_name FROM Execution JOIN Type ON Type.id = Execution.type_id "
            "WHERE Execution.id IN (SELECT execution_id FROM Association WHERE context_id = ?) ORDER BY Execution.id",
            [context.id],
        ).fetchall()
        return [self._record("Execution", row) for row in rows]

    def events(self, execution_ids: Iterable[int]) -> list[Event]:
        ids = list(execution_ids)
        marks = ", ".join("?" for _ in ids)
        # Events first: another process may publish between the queries, and its events would lack their artifacts.
        event_rows = self._db.execute(
            "SELECT Event.*, EventPath.step_key FROM Event JOIN EventPath ON EventPath.event_id = Event.id "
            f"WHERE Event.execution_id IN ({marks}) ORDER BY Event.id",
            ids,
        ).fetchall()
        artifact_rows = self._db.execute(
            "SELECT Artifact.*, Type.name AS type_name FROM Artifact JOIN Type ON Type.id = Artifact.type_id "
            f"WHERE Artifact.id IN (SELECT artifact_id FROM Event WHERE execution_id IN ({marks}))",
            ids,
        ).fetchall()
        artifacts = {row["id"]: self._record("Artifact", row) for row in artifact_rows}
        if lost := {row["artifact_id"] for row in event_rows} - artifacts.keys():
            raise sqlite3.DatabaseError(f"the table Event is malformed: there is no artifact {min(lost)}")
        return [
            Event(
                artifact=artifacts[row["artifact_id"]],
                channel=row["step_key"],
                output=row["type"] == OUTPUT_EVENT,
                execution_id=row["execution_id"],
            )
            for row in event_rows
        ]

    def _put(self, table: _Table, record: Record, columns: Mapping[str, str | int]) -> None:
        """Inserts or updates a record with its properties.

        Args:
            table: Where records of this kind are.
            record: Gets an id if it has none.
            columns: Values of the columns that only this kind of record has.
        """
        now = _now_ms()
        values: dict[str, str | int] = {**columns, "last_update_time_since_epoch": now}
        if record.id is None:
            values["type_id"] = self._type_id(table, record.type)
            values["create_time_since_epoch"] = now
            marks = ", ".join("?" for _ in values)
            sql = f"INSERT INTO {table} ({', '.join(values)}) VALUES ({marks})"
            record.id = self._db.execute(sql, list(values.values())).lastrowid
        else:
            assignments = ", ".join(f"{column} = ?" for column in values)
            self._db.execute(f"UPDATE {table} SET {assignments} WHERE id = ?", [*values.values(), record.id])
        self._put_properties(table, record)

    def _put_properties(self, table: _Table, record: Record) -> None:
        owner = _owner_column(table)
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

    def _type_id(self, table: _Table, name: str) -> int:
        """Returns the id of a record type, which is created if it does not exist."""
        key = [name, TYPE_KINDS[table]]
        row = self._db.execute("SELECT id FROM Type WHERE name = ? AND type_kind = ?", key).fetchone()
        if row is not None:
            return row["id"]
        return self._db.execute("INSERT INTO Type (name, type_kind) VALUES (?, ?)", key).lastrowid

    def _record(self, table: _Table, row: sqlite3.Row) -> Record:
        record = Record(
            type=row["type_name"],
            id=row["id"],
            name=row["name"] or "",
            properties=self._properties(table, row["id"]),
            created_ms=row["create_time_since_epoch"],
        )
        if table == "Artifact":
            record.uri = row["uri"] or ""
            record.state = row["state"] or 0
        elif table == "Execution":
            record.state = row["last_known_state"] or 0
        return record

    def _properties(self, table: _Table, record_id: int) -> dict[str, Value]:
        rows = self._db.execute(f"SELECT * FROM {table}Property WHERE {_owner_column(table)} = ?", [record_id])
        return {row["name"]: _value(row) for row in rows}


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
            has_tables = _has_tables(self._db)  # Nothing is opened before it is read.
        except sqlite3.OperationalError:
            # SQLite locks a file that it reads, and first undoes what a killed process has left half-written. Where it
            # may do neither, it does so in a copy.
            self._copy = tempfile.TemporaryDirectory(prefix="diptych-")
            copy = shutil.copy(path, self._copy.name)
            if os.path.exists(path + _JOURNAL):
                shutil.copy(path + _JOURNAL, self._copy.name)
            self._db = _connect(copy)
            has_tables = _has_tables(self._db)
        if not has_tables:  # A run was killed, or is starting, before it has created them.
            super().__init__(":memory:")


def _connect(path: str, *, uri: bool = False) -> sqlite3.Connection:
    db = sqlite3.connect(path, timeout=LOCK_TIMEOUT_S, uri=uri)
    db.row_factory = sqlite3.Row
    return db


def _has_tables(db: sqlite3.Connection) -> bool:
    return db.execute("SELECT 1 FROM sqlite_master WHERE name = 'MLMDEnv'").fetchone() is not None


def _owner_column(table: _Table) -> str:
    """Returns the column of a property table that holds the id of the record, e.g. "artifact_id"."""
    return f"{table.lower()}_id"


def _value_column(value: Value) -> str:
    if isinstance(value, int):
        return "int_value"
    if isinstance(value, float):
        return "double_value"
    return "string_value"


def _value(row: sqlite3.Row) -> Value:
    for column in ("int_value", "double_value", "string_value"):
        if row[column] is not None:
            return row[column]
    raise sqlite3.DatabaseError(f"the property {row['name']} is malformed: it has no value")


def _now_ms() -> int:
    return time.time_ns() // 1_000_000
