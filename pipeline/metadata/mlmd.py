"""Keeps records in a MySQL database, with the package ml-metadata."""

import re
import urllib.parse
from collections.abc import Iterable, Sequence

import ml_metadata
from ml_metadata.metadata_store import metadata_store
from ml_metadata.proto import metadata_store_pb2 as pb

from components.errors import UserError
from pipeline.metadata.records import EVERY, Event, Query, Record, Value

MYSQL_PORT = 3306

_SKIPPED = "skipped_id"
"""Type of executions that only use up an id."""

_Proto = pb.Artifact | pb.Execution | pb.Context


class MlmdRecords:
    """Implements `Records` with ML Metadata.

    Args:
        config: Which store to open, see `mysql_config`.
    """

    def __init__(self, config: pb.ConnectionConfig):
        self._store = metadata_store.MetadataStore(config)
        self._artifact_types: dict[str, int] = {}
        self._execution_types: dict[str, int] = {}
        self._context_types: dict[str, int] = {}

    def put_context(self, context: Record) -> None:
        (context.id,) = self._store.put_contexts([self._context_proto(context)])

    def put_execution(
        self, execution: Record, *, events: Sequence[Event], contexts: Sequence[Record], new_id: int = 0
    ) -> None:
        if execution.id is None and new_id:
            self._skip_ids(below=new_id)
        execution.id, artifact_ids, _ = self._store.put_execution(
            self._execution_proto(execution),
            [(self._artifact_proto(event.artifact), _event_proto(event)) for event in events],
            [self._context_proto(context) for context in contexts],
            reuse_context_if_already_exist=True,
        )
        for event, artifact_id in zip(events, artifact_ids, strict=True):
            event.artifact.id = artifact_id
            event.execution_id = execution.id

    def newest_execution_id(self) -> int:
        newest = ml_metadata.ListOptions(limit=1, order_by=ml_metadata.OrderByField.ID, is_asc=False)
        return max((proto.id for proto in self._store.get_executions(list_options=newest)), default=0)

    def _skip_ids(self, *, below: int) -> None:
        """Uses up ids, which ML Metadata chooses itself, with executions that belong to no pipeline."""
        while self.newest_execution_id() < below - 1:
            self._store.put_executions([self._execution_proto(Record(type=_SKIPPED, state=pb.Execution.CANCELED))])

    def put_artifact(self, artifact: Record) -> None:
        self._store.put_artifacts([self._artifact_proto(artifact)])

    def contexts(self, type_name: str) -> list[Record]:
        return _records(self._store.get_contexts_by_type(type_name))

    def executions(self, context: Record, query: Query = EVERY) -> list[Record]:
        if query.ids is not None and not query.ids:
            return []
        options = ml_metadata.ListOptions(
            limit=query.newest,
            order_by=ml_metadata.OrderByField.ID,
            is_asc=False,
            filter_query=_filter(context, query),
        )
        return _records(self._store.get_executions(list_options=options))

    def artifacts(self, context: Record, *, type_name: str = "") -> list[Record]:
        artifacts = _records(self._store.get_artifacts_by_context(context.id))
        return [artifact for artifact in artifacts if type_name in ("", artifact.type)]

    def events(self, execution_ids: Iterable[int]) -> list[Event]:
        return self._events(self._store.get_events_by_execution_ids(sorted(execution_ids)))

    def events_of(self, artifact_ids: Iterable[int]) -> list[Event]:
        return self._events(self._store.get_events_by_artifact_ids(sorted(artifact_ids)))

    def writers(self, artifact_ids: Iterable[int]) -> dict[int, int]:
        writers: dict[int, int] = {}
        for proto in self._store.get_events_by_artifact_ids(sorted(artifact_ids)):
            if proto.type == pb.Event.OUTPUT:
                writers[proto.artifact_id] = min(writers.get(proto.artifact_id, proto.execution_id), proto.execution_id)
        return writers

    def _events(self, protos: Iterable[pb.Event]) -> list[Event]:
        """Returns events with their artifacts."""
        protos = list(protos)
        artifacts = _records(self._store.get_artifacts_by_id(sorted({proto.artifact_id for proto in protos})))
        by_id = {artifact.id: artifact for artifact in artifacts}
        if lost := {proto.artifact_id for proto in protos} - by_id.keys():
            raise RuntimeError(f"the table Event is malformed: there is no artifact {min(lost)}")
        return [
            Event(
                artifact=by_id[proto.artifact_id],
                channel=proto.path.steps[0].key,
                output=proto.type == pb.Event.OUTPUT,
                execution_id=proto.execution_id,
            )
            for proto in protos
        ]

    def _artifact_proto(self, record: Record) -> pb.Artifact:
        if record.type not in self._artifact_types:
            self._artifact_types[record.type] = self._store.put_artifact_type(pb.ArtifactType(name=record.type))
        proto = pb.Artifact(type_id=self._artifact_types[record.type], uri=record.uri, state=record.state)
        return _with_common_fields(proto, record)

    def _execution_proto(self, record: Record) -> pb.Execution:
        if record.type not in self._execution_types:
            self._execution_types[record.type] = self._store.put_execution_type(pb.ExecutionType(name=record.type))
        proto = pb.Execution(type_id=self._execution_types[record.type], last_known_state=record.state)
        return _with_common_fields(proto, record)

    def _context_proto(self, record: Record) -> pb.Context:
        if record.type not in self._context_types:
            self._context_types[record.type] = self._store.put_context_type(pb.ContextType(name=record.type))
        return _with_common_fields(pb.Context(type_id=self._context_types[record.type]), record)


def mysql_config(uri: str) -> pb.ConnectionConfig:
    """Returns the connection to a MySQL database.

    Args:
        uri: mysql://user:password@host[:port]/database.

    Raises:
        UserError: The URI has no host, no database, or a port that is not a number.
    """
    parts = urllib.parse.urlsplit(uri)
    database = parts.path.strip("/")
    try:
        port = parts.port or MYSQL_PORT
    except ValueError:  # The port is not a number.
        port = None
    if not parts.hostname or not database or port is None:
        raise UserError("--metadata needs a host and a database: mysql://user:password@host[:port]/database.")
    config = pb.ConnectionConfig()
    config.mysql.host = parts.hostname
    config.mysql.port = port
    config.mysql.database = database
    config.mysql.user = urllib.parse.unquote(parts.username or "")
    config.mysql.password = urllib.parse.unquote(parts.password or "")
    return config


def _filter(context: Record, query: Query) -> str:
    """Returns a query for executions in ML Metadata's language of filters."""
    terms = [f"contexts_0.id = {context.id}"]
    if query.type:
        terms.append(f"type = {_quoted(query.type)}")
    if query.ids is not None:
        terms.append(f"id IN ({', '.join(map(str, sorted(query.ids)))})")
    if query.states:
        names = ", ".join(pb.Execution.State.Name(state) for state in query.states)
        terms.append(f"last_known_state IN ({names})")
    if query.below is not None:
        terms.append(f"id < {query.below}")
    terms += [
        f"custom_properties.{name}.string_value = {_quoted(text)}" for name, text in sorted(query.properties.items())
    ]
    return " AND ".join(terms)


def _quoted(text: str) -> str:
    """Returns the name of a type, or a digest, as a literal. ML Metadata puts it into the SQL as it is."""
    if not re.fullmatch(r"\w+", text, re.ASCII):
        raise ValueError(f"{text!r} cannot be asked for: it is neither the name of a type nor a digest.")
    return f'"{text}"'


def _with_common_fields(proto: _Proto, record: Record) -> _Proto:
    """Sets the fields that artifacts, executions and contexts have in common, and returns the message."""
    if record.id is not None:
        proto.id = record.id
    if record.name:
        proto.name = record.name
    for key, value in record.properties.items():
        if isinstance(value, int):
            proto.custom_properties[key].int_value = value
        elif isinstance(value, float):
            proto.custom_properties[key].double_value = value
        else:
            proto.custom_properties[key].string_value = value
    return proto


def _event_proto(event: Event) -> pb.Event:
    proto = pb.Event(type=pb.Event.OUTPUT if event.output else pb.Event.INPUT)
    proto.path.steps.add().key = event.channel
    return proto


def _records(protos: Iterable[_Proto]) -> list[Record]:
    """Returns the messages as records, oldest first."""
    return sorted((_record(proto) for proto in protos), key=lambda record: record.id)


def _value(name: str, proto: pb.Value) -> Value:
    kind = proto.WhichOneof("value")
    if kind is None:
        raise RuntimeError(f"the property {name} is malformed: it has no value")
    return getattr(proto, kind)


def _record(proto: _Proto) -> Record:
    record = Record(
        type=proto.type,
        id=proto.id,
        name=proto.name,
        properties={key: _value(key, value) for key, value in proto.custom_properties.items()},
        created_ms=proto.create_time_since_epoch,
    )
    if isinstance(proto, pb.Artifact):
        record.uri = proto.uri
        record.state = proto.state
    elif isinstance(proto, pb.Execution):
        record.state = proto.last_known_state
    return record
