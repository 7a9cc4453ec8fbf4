"""Reads records from ML Metadata's SQLite tables.

No method issues more statements for more records, so that a store of thousands of runs is read as fast as its disk
allows. Those that ask for some of the executions find them by an index.
"""

import json
import sqlite3
from collections.abc import Iterable, Sequence
from typing import Literal

from pipeline.metadata.records import EVERY, Event, Query, Record, Value

# Values of ML Metadata's enumerations.
TYPE_KINDS = {"Execution": 0, "Artifact": 1, "Context": 2}
INPUT_EVENT, OUTPUT_EVENT = 3, 4

Table = Literal["Artifact", "Execution", "Context"]

_IN_IDS = "IN (SELECT value FROM json_each(?))"
"""Compares with ids that are given as a JSON list, because SQLite limits the number of parameters."""


class SqliteReader:
    """Implements what `Records` reads.

    Args:
        db: The database, whose rows are `sqlite3.Row`.
    """

    def __init__(self, db: sqlite3.Connection):
        self._db = db

    def contexts(self, type_name: str) -> list[Record]:
        return self._records("Context", "Type.name = ?", [type_name])

    def executions(self, context: Record, query: Query = EVERY) -> list[Record]:
        where, values = _conditions(context, query)
        return self._records("Execution", where, values, newest=query.newest)

    def newest_execution_id(self) -> int:
        (newest,) = self._db.execute("SELECT coalesce(max(id), 0) FROM Execution").fetchone()
        return newest

    def artifacts(self, context: Record, *, type_name: str = "") -> list[Record]:
        where = "Artifact.id IN (SELECT artifact_id FROM Attribution WHERE context_id = ?) AND ? IN ('', Type.name)"
        return self._records("Artifact", where, [context.id, type_name])

    def events(self, execution_ids: Iterable[int]) -> list[Event]:
        return self._events("execution_id", execution_ids)

    def events_of(self, artifact_ids: Iterable[int]) -> list[Event]:
        return self._events("artifact_id", artifact_ids)

    def writers(self, artifact_ids: Iterable[int]) -> dict[int, int]:
        rows = self._db.execute(
            "SELECT artifact_id, MIN(execution_id) AS writer FROM Event "
            f"WHERE artifact_id {_IN_IDS} AND type = ? GROUP BY artifact_id",
            [_as_json(artifact_ids), OUTPUT_EVENT],
        )
        return {row["artifact_id"]: row["writer"] for row in rows}

    def _events(self, column: Literal["execution_id", "artifact_id"], ids: Iterable[int]) -> list[Event]:
        # Events first: another process may publish between the queries, and its events would lack their artifacts.
        rows = self._db.execute(
            "SELECT Event.*, EventPath.step_key FROM Event JOIN EventPath ON EventPath.event_id = Event.id "
            f"WHERE Event.{column} {_IN_IDS} ORDER BY Event.id",
            [_as_json(ids)],
        ).fetchall()
        artifact_ids = {row["artifact_id"] for row in rows}
        found = self._records("Artifact", f"Artifact.id {_IN_IDS}", [_as_json(artifact_ids)]) if rows else []
        artifacts = {artifact.id: artifact for artifact in found}
        if lost := artifact_ids - artifacts.keys():
            raise sqlite3.DatabaseError(f"the table Event is malformed: there is no artifact {min(lost)}")
        return [
            Event(
                artifact=artifacts[row["artifact_id"]],
                channel=row["step_key"],
                output=row["type"] == OUTPUT_EVENT,
                execution_id=row["execution_id"],
            )
            for row in rows
        ]

    def _records(
        self, table: Table, where: str, values: Sequence[str | int | None], *, newest: int | None = None
    ) -> list[Record]:
        """Returns the records of a table that a condition selects, oldest first.

        Args:
            table: The table.
            where: The condition, in SQL.
            values: The values of its question marks.
            newest: At most so many, the newest.
        """
        rows = self._db.execute(
            f"SELECT {table}.*, Type.name AS type_name FROM {table} JOIN Type ON Type.id = {table}.type_id "
            f"WHERE {where} ORDER BY {table}.id DESC LIMIT ?",
            [*values, -1 if newest is None else newest],
        ).fetchall()
        rows.reverse()
        properties = self._properties(table, [row["id"] for row in rows])
        return [_record(table, row, properties[row["id"]]) for row in rows]

    def _properties(self, table: Table, ids: Sequence[int]) -> dict[int, dict[str, Value]]:
        """Returns the properties of records, by id."""
        properties: dict[int, dict[str, Value]] = {record_id: {} for record_id in ids}
        if ids:
            owner = owner_column(table)
            sql = f"SELECT * FROM {table}Property WHERE {owner} {_IN_IDS}"
            for row in self._db.execute(sql, [_as_json(ids)]):
                properties[row[owner]][row["name"]] = _value(row)
        return properties


def _conditions(context: Record, query: Query) -> tuple[str, list[str | int | None]]:
    """Returns a query for executions as a condition in SQL, and the values of its question marks."""
    terms = ["EXISTS (SELECT 1 FROM Association WHERE context_id = ? AND execution_id = Execution.id)"]
    values: list[str | int | None] = [context.id]
    if query.type:
        # A value, not a join: so SQLite looks the executions of the type up in an index.
        terms.append("Execution.type_id IN (SELECT id FROM Type WHERE name = ? AND type_kind = ?)")
        values += [query.type, TYPE_KINDS["Execution"]]
    if query.ids is not None:
        terms.append(f"Execution.id {_IN_IDS}")
        values.append(_as_json(query.ids))
    if query.states:
        terms.append(f"Execution.last_known_state {_IN_IDS}")
        values.append(_as_json(query.states))
    if query.below is not None:
        terms.append("Execution.id < ?")
        values.append(query.below)
    for name, text in query.properties.items():
        terms.append(
            "Execution.id IN (SELECT execution_id FROM ExecutionProperty "
            "WHERE name = ? AND is_custom_property = 1 AND string_value = ?)"
        )
        values += [name, text]
    return " AND ".join(terms), values


def _record(table: Table, row: sqlite3.Row, properties: dict[str, Value]) -> Record:
    record = Record(
        type=row["type_name"],
        id=row["id"],
        name=row["name"] or "",
        properties=properties,
        created_ms=row["create_time_since_epoch"],
    )
    if table == "Artifact":
        record.uri = row["uri"] or ""
        record.state = row["state"] or 0
    elif table == "Execution":
        record.state = row["last_known_state"] or 0
    return record


def owner_column(table: Table) -> str:
    """Returns the column of a property table that holds the id of the record, e.g. "artifact_id"."""
    return f"{table.lower()}_id"


def _value(row: sqlite3.Row) -> Value:
    for column in ("int_value", "double_value", "string_value"):
        if row[column] is not None:
            return row[column]
    raise sqlite3.DatabaseError(f"the property {row['name']} is malformed: it has no value")


def _as_json(ids: Iterable[int]) -> str:
    return json.dumps(sorted(ids))
