"""ML Metadata's SQLite tables (its schema version 10), written without ML Metadata.

Only what `pipeline.metadata.records.Records` needs. A file written here opens with ML Metadata and the other way round.
"""

import sqlite3
import time
from collections.abc import Iterable, Sequence

from pipeline.metadata import tables
from pipeline.metadata.records import Event, Record

TYPE_KINDS = {"Execution": 0, "Artifact": 1, "Context": 2}
INPUT, OUTPUT = 3, 4  # values of ML Metadata's Event.Type


class SqliteRecords:
    """`Records` in a SQLite file."""

    def __init__(self, path: str):
        self._db = sqlite3.connect(path, timeout=30)
        self._db.row_factory = sqlite3.Row
        if not self._db.execute("SELECT 1 FROM sqlite_master WHERE name = 'MLMDEnv'").fetchone():
            with self._db:
                for statement in tables.statements():
                    self._db.execute(statement)

    def put_context(self, context: Record) -> None:
        with self._db:
            self._put("Context", context, {"name": context.name})

    def put_execution(self, execution: Record, *, events: Sequence[Event], contexts: Sequence[Record]) -> None:
        with self._db:
            self._put("Execution", execution, {"last_known_state": execution.state})
            for event in events:
                if event.artifact.id is None:
                    self._put("Artifact", event.artifact, {"uri": event.artifact.uri, "state": event.artifact.state})
                self._put_event(event, execution)
            for context in contexts:
                self._link("Association", context.id, "execution_id", execution.id)
                for event in events:
                    self._link("Attribution", context.id, "artifact_id", event.artifact.id)

    def contexts(self, type_name: str) -> list[Record]:
        return self._records("Context", "t.name = ?", [type_name])

    def executions(self, context: Record) -> list[Record]:
        where = "r.id IN (SELECT execution_id FROM Association WHERE context_id = ?)"
        return self._records("Execution", where, [context.id])

    def events(self, execution_ids: Iterable[int]) -> list[Event]:
        ids = list(execution_ids)
        marks = ",".join("?" * len(ids))
        rows = self._db.execute(
            "SELECT e.*, p.step_key FROM Event e JOIN EventPath p ON p.event_id = e.id "
            f"WHERE e.execution_id IN ({marks}) ORDER BY e.id",
            ids,
        ).fetchall()
        where = f"r.id IN (SELECT artifact_id FROM Event WHERE execution_id IN ({marks}))"
        by_id = {artifact.id: artifact for artifact in self._records("Artifact", where, ids)}
        return [
            Event(
                artifact=by_id[row["artifact_id"]],
                channel=row["step_key"],
                output=row["type"] == OUTPUT,
                execution_id=row["execution_id"],
            )
            for row in rows
        ]

    def _put(self, table: str, record: Record, columns: dict[str, str | int]) -> None:
        columns = {**columns, "last_update_time_since_epoch": _now_ms()}
        if record.id is None:
            columns |= {"type_id": self._type_id(table, record.type), "create_time_since_epoch": _now_ms()}
            names = ", ".join(columns)
            sql = f"INSERT INTO {table} ({names}) VALUES ({','.join('?' * len(columns))})"
            record.id = self._db.execute(sql, list(columns.values())).lastrowid
        else:
            sets = ", ".join(f"{name} = ?" for name in columns)
            self._db.execute(f"UPDATE {table} SET {sets} WHERE id = ?", [*columns.values(), record.id])
        owner = f"{table.lower()}_id"
        self._db.execute(f"DELETE FROM {table}Property WHERE {owner} = ?", [record.id])
        for key, value in record.properties.items():
            column = {int: "int_value", float: "double_value", str: "string_value"}[type(value)]
            sql = f"INSERT INTO {table}Property ({owner}, name, is_custom_property, {column}) VALUES (?, ?, 1, ?)"
            self._db.execute(sql, [record.id, key, value])

    def _put_event(self, event: Event, execution: Record) -> None:
        event.execution_id = execution.id
        sql = "INSERT INTO Event (artifact_id, execution_id, type, milliseconds_since_epoch) VALUES (?, ?, ?, ?)"
        values = [event.artifact.id, execution.id, OUTPUT if event.output else INPUT, _now_ms()]
        event_id = self._db.execute(sql, values).lastrowid
        sql = "INSERT INTO EventPath (event_id, is_index_step, step_key) VALUES (?, 0, ?)"
        self._db.execute(sql, [event_id, event.channel])

    def _link(self, table: str, context_id: int, column: str, value: int) -> None:
        self._db.execute(f"INSERT OR IGNORE INTO {table} (context_id, {column}) VALUES (?, ?)", [context_id, value])

    def _type_id(self, table: str, name: str) -> int:
        key = [name, TYPE_KINDS[table]]
        row = self._db.execute("SELECT id FROM Type WHERE name = ? AND type_kind = ?", key).fetchone()
        return row["id"] if row else self._db.execute("INSERT INTO Type (name, type_kind) VALUES (?, ?)", key).lastrowid

    def _records(self, table: str, where: str, values: list[int | str]) -> list[Record]:
        source = f"{table} r JOIN Type t ON t.id = r.type_id"
        sql = f"SELECT r.*, t.name AS type_name FROM {source} WHERE {where} ORDER BY r.id"
        records = []
        for row in self._db.execute(sql, values).fetchall():
            sql = f"SELECT * FROM {table}Property WHERE {table.lower()}_id = ?"
            properties = {}
            for item in self._db.execute(sql, [row["id"]]):
                given = (item["int_value"], item["double_value"], item["string_value"])
                properties[item["name"]] = next(value for value in given if value is not None)
            columns = row.keys()
            state = "last_known_state" if table == "Execution" else "state"
            records.append(
                Record(
                    type=row["type_name"],
                    id=row["id"],
                    name=row["name"] or "",
                    state=(row[state] or 0) if state in columns else 0,
                    uri=(row["uri"] or "") if "uri" in columns else "",
                    properties=properties,
                    created_ms=row["create_time_since_epoch"],
                )
            )
        return records


def _now_ms() -> int:
    return time.time_ns() // 1_000_000
