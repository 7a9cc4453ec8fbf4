"""Artifacts, executions, contexts and the events between them, in ML Metadata's terms.

`open_records` gives the store behind a root: ML Metadata's own, or, where that has no build for this Python (3.12
beside TensorFlow 2.17), `pipeline.metadata.sqlite`, which keeps the very same tables in the very same SQLite file.
"""

import dataclasses
import importlib.util
import math
import numbers
import os
import pathlib
import urllib.parse
from collections.abc import Iterable, Sequence
from typing import Protocol

from components.errors import UserError

Value = int | float | str


@dataclasses.dataclass(kw_only=True)
class Record:
    """One artifact, execution or context. `id` is None until it is put.

    `state` is a value of ML Metadata's `Artifact.State` or `Execution.State`, `uri` belongs to artifacts only,
    `name` to contexts only; times are in milliseconds since 1970 and set by the store.
    """

    type: str
    id: int | None = None
    name: str = ""
    state: int = 0
    uri: str = ""
    properties: dict[str, Value] = dataclasses.field(default_factory=dict)
    created_ms: int = 0


@dataclasses.dataclass(kw_only=True)
class Event:
    """An execution read (`output=False`) or wrote an artifact on a channel."""

    artifact: Record
    channel: str
    output: bool
    execution_id: int | None = None


class Records(Protocol):
    """What `pipeline.metadata.store` needs of a store."""

    def put_context(self, context: Record) -> None:
        """Inserts or updates; sets `context.id`."""

    def put_execution(self, execution: Record, *, events: Sequence[Event], contexts: Sequence[Record]) -> None:
        """Inserts or updates the execution, its new artifacts and events as one transaction; sets their ids."""

    def contexts(self, type_name: str) -> list[Record]:
        """All contexts of a type, oldest first."""

    def executions(self, context: Record) -> list[Record]:
        """All executions in a context, oldest first."""

    def events(self, execution_ids: Iterable[int]) -> list[Event]:
        """Events of these executions, with their artifacts."""


def plain(value: object) -> Value:
    """Brings a figure (NumPy scalars included) to what a property can hold: "nan" and "inf" become text."""
    if isinstance(value, numbers.Integral):
        return int(value)
    return float(value) if isinstance(value, numbers.Real) and math.isfinite(value) else str(value)


def open_records(uri: str) -> Records:
    """Opens the store at `uri`: a path of a SQLite file, or "mysql://user:password@host[:port]/database".

    Raises:
        UserError: the string names no store that can be opened.
    """
    os.environ.setdefault("GLOG_minloglevel", "3")  # What ML Metadata logs it also raises; it reads this when loaded.
    has_mlmd = importlib.util.find_spec("ml_metadata") is not None
    if uri.startswith("mysql://"):
        if not has_mlmd:
            raise UserError("--metadata mysql:// needs the package ml-metadata, which exists for Python 3.10 and 3.11.")
        return _mysql(uri)
    if "://" in uri:
        raise UserError(f"--metadata {uri} is not a store: give mysql://user:password@host/database or a local file.")
    try:
        pathlib.Path(uri).parent.mkdir(parents=True, exist_ok=True)
        if has_mlmd:
            return _sqlite(uri)
        from pipeline.metadata import sqlite as records_sqlite

        return records_sqlite.SqliteRecords(uri)
    except Exception as error:  # ML Metadata raises RuntimeError, for want of a better one
        raise UserError(
            f"The metadata store {uri} does not open ({_reason(error)}): move it away, or name another with --metadata."
        ) from error


def _reason(error: Exception) -> str:
    """What SQLite or MySQL said, without the query that ML Metadata wraps around it."""
    return str(error).removeprefix("Error when executing query: ").partition(" query:")[0].strip(" ,:")


def _sqlite(path: str) -> "MlmdRecords":
    from ml_metadata.proto import metadata_store_pb2 as pb

    config = pb.ConnectionConfig()
    config.sqlite.filename_uri = path
    config.sqlite.connection_mode = pb.SqliteMetadataSourceConfig.READWRITE_OPENCREATE
    return MlmdRecords(config)


def _mysql(uri: str) -> "MlmdRecords":
    from ml_metadata.proto import metadata_store_pb2 as pb

    parts = urllib.parse.urlsplit(uri)
    database = parts.path.strip("/")
    try:
        port = parts.port or 3306
    except ValueError:
        port = None
    if not parts.hostname or not database or port is None:
        raise UserError("--metadata needs a host and a database: mysql://user:password@host[:port]/database.")
    config = pb.ConnectionConfig()
    config.mysql.host, config.mysql.port, config.mysql.database = parts.hostname, port, database
    config.mysql.user = urllib.parse.unquote(parts.username or "")
    config.mysql.password = urllib.parse.unquote(parts.password or "")
    try:
        return MlmdRecords(config)
    except Exception as error:
        raise UserError(
            f"The metadata store mysql://{parts.hostname}:{port}/{database} does not open ({_reason(error)}): check "
            "that the server runs, and the host, database, user and password in --metadata."
        ) from error


class MlmdRecords:
    """`Records` kept by ML Metadata."""

    def __init__(self, config: object):
        from ml_metadata.metadata_store import metadata_store
        from ml_metadata.proto import metadata_store_pb2

        self._pb = metadata_store_pb2
        self._store = metadata_store.MetadataStore(config)
        self._types: dict[tuple[str, str], int] = {}

    def put_context(self, context: Record) -> None:
        (context.id,) = self._store.put_contexts([self._proto("context", context)])

    def put_execution(self, execution: Record, *, events: Sequence[Event], contexts: Sequence[Record]) -> None:
        pairs = []
        for event in events:
            proto = self._pb.Event(type=self._pb.Event.OUTPUT if event.output else self._pb.Event.INPUT)
            proto.path.steps.add().key = event.channel
            pairs.append((self._proto("artifact", event.artifact), proto))
        execution.id, artifact_ids, _ = self._store.put_execution(
            self._proto("execution", execution),
            pairs,
            [self._proto("context", context) for context in contexts],
            reuse_context_if_already_exist=True,
        )
        for event, artifact_id in zip(events, artifact_ids, strict=True):
            event.artifact.id, event.execution_id = artifact_id, execution.id

    def contexts(self, type_name: str) -> list[Record]:
        return self._records(self._store.get_contexts_by_type(type_name))

    def executions(self, context: Record) -> list[Record]:
        return self._records(self._store.get_executions_by_context(context.id))

    def events(self, execution_ids: Iterable[int]) -> list[Event]:
        protos = self._store.get_events_by_execution_ids(list(execution_ids))
        artifacts = self._records(self._store.get_artifacts_by_id(sorted({event.artifact_id for event in protos})))
        by_id = {artifact.id: artifact for artifact in artifacts}
        return [
            Event(
                artifact=by_id[proto.artifact_id],
                channel=proto.path.steps[0].key,
                output=proto.type == self._pb.Event.OUTPUT,
                execution_id=proto.execution_id,
            )
            for proto in protos
        ]

    def _proto(self, kind: str, record: Record) -> object:
        proto = getattr(self._pb, kind.capitalize())(type_id=self._type_id(kind, record.type))
        if record.id is not None:
            proto.id = record.id
        if record.name:
            proto.name = record.name
        if kind == "artifact":
            proto.uri, proto.state = record.uri, record.state
        if kind == "execution":
            proto.last_known_state = record.state
        for key, value in record.properties.items():
            field = {int: "int_value", float: "double_value", str: "string_value"}[type(value)]
            setattr(proto.custom_properties[key], field, value)
        return proto

    def _type_id(self, kind: str, name: str) -> int:
        if (kind, name) not in self._types:
            put = getattr(self._store, f"put_{kind}_type")
            self._types[kind, name] = put(getattr(self._pb, f"{kind.capitalize()}Type")(name=name))
        return self._types[kind, name]

    @staticmethod
    def _records(protos: Iterable[object]) -> list[Record]:
        records = []
        for proto in protos:
            values = {key: getattr(v, v.WhichOneof("value")) for key, v in proto.custom_properties.items()}
            records.append(
                Record(
                    type=proto.type,
                    id=proto.id,
                    name=proto.name,
                    state=getattr(proto, "last_known_state", getattr(proto, "state", 0)),
                    uri=getattr(proto, "uri", ""),
                    properties=values,
                    created_ms=proto.create_time_since_epoch,
                )
            )
        return sorted(records, key=lambda record: record.id)
