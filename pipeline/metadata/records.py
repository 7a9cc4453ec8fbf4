"""Artifacts, executions, contexts and events, in ML Metadata's terms, and the interface of a store that keeps them."""

import dataclasses
import math
import numbers
from collections.abc import Iterable, Sequence
from typing import Protocol

Value = int | float | str


@dataclasses.dataclass(kw_only=True)
class Record:
    """One artifact, execution or context.

    Attributes:
        type: Name of the type.
        id: Set by the store when the record is first put; None before.
        name: Contexts only.
        state: A value of ML Metadata's `Artifact.State` or `Execution.State`.
        uri: Artifacts only.
        properties: Custom properties.
        created_ms: When the record was first put, in milliseconds since 1970. Set by the store.
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
    """An execution read or wrote an artifact.

    Attributes:
        artifact: The artifact.
        channel: Name of the execution's input or output channel.
        output: Whether the execution wrote the artifact. Otherwise it read it.
        execution_id: Set by the store.
    """

    artifact: Record
    channel: str
    output: bool
    execution_id: int | None = None


class Records(Protocol):
    """A store of records. `mlmd.MlmdRecords` and `sqlite.SqliteRecords` implement it."""

    def put_context(self, context: Record) -> None:
        """Inserts or updates a context and sets its id."""

    def put_execution(self, execution: Record, *, events: Sequence[Event], contexts: Sequence[Record]) -> None:
        """Inserts or updates an execution in one transaction with its events and their new artifacts; sets all ids."""

    def contexts(self, type_name: str) -> list[Record]:
        """Returns all contexts of a type, oldest first."""

    def executions(self, context: Record) -> list[Record]:
        """Returns all executions in a context, oldest first."""

    def events(self, execution_ids: Iterable[int]) -> list[Event]:
        """Returns the events of the given executions, with their artifacts."""


def plain(value: object) -> Value:
    """Converts a figure, such as a NumPy scalar, to a property value. NaN and infinity become text."""
    if isinstance(value, numbers.Integral):
        return int(value)
    if isinstance(value, numbers.Real) and math.isfinite(value):
        return float(value)
    return str(value)
