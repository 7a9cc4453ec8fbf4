"""Artifacts, executions, contexts and events, in ML Metadata's terms, and the interface of a store that keeps them."""

import dataclasses
import math
import numbers
from collections.abc import Collection, Iterable, Mapping, Sequence
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


@dataclasses.dataclass(frozen=True, kw_only=True)
class Query:
    """Which executions of a context are asked for. What is left empty does not matter.

    Attributes:
        type: Name of the type.
        ids: One of these ids.
        states: One of these states.
        properties: These properties have these texts, which are digests.
        below: Only ids below this one.
        newest: At most so many, the newest.
    """

    type: str = ""
    ids: Collection[int] | None = None
    states: tuple[int, ...] = ()
    properties: Mapping[str, str] = dataclasses.field(default_factory=dict)
    below: int | None = None
    newest: int | None = None


EVERY = Query()
"""Asks for all executions of a context."""


class Records(Protocol):
    """A store of records. `mlmd.MlmdRecords` and `sqlite.SqliteRecords` implement it."""

    def put_context(self, context: Record) -> None:
        """Inserts or updates a context and sets its id."""

    def put_execution(
        self, execution: Record, *, events: Sequence[Event], contexts: Sequence[Record], new_id: int = 0
    ) -> None:
        """Inserts or updates an execution in one transaction with its events and their new artifacts; sets all ids.

        A new one gets an id of at least `new_id`.
        """

    def newest_execution_id(self) -> int:
        """Returns the highest id of an execution in any context; 0 if there is none."""

    def put_artifact(self, artifact: Record) -> None:
        """Updates the state and the properties of an artifact that has an id."""

    def contexts(self, type_name: str) -> list[Record]:
        """Returns all contexts of a type, oldest first."""

    def executions(self, context: Record, query: Query = EVERY) -> list[Record]:
        """Returns the executions in a context that a query asks for, oldest first."""

    def artifacts(self, context: Record, *, type_name: str = "") -> list[Record]:
        """Returns the artifacts in a context, by default of any type, oldest first."""

    def events(self, execution_ids: Iterable[int]) -> list[Event]:
        """Returns the events of the given executions, with their artifacts."""

    def events_of(self, artifact_ids: Iterable[int]) -> list[Event]:
        """Returns the events of the given artifacts, with the artifacts."""

    def writers(self, artifact_ids: Iterable[int]) -> dict[int, int]:
        """Returns the first execution that each of the given artifacts is an output of, by the artifact's id."""


def plain(value: object) -> Value:
    """Converts a figure, such as a NumPy scalar, to a property value. NaN and infinity become text."""
    if isinstance(value, numbers.Integral):
        return int(value)
    if isinstance(value, numbers.Real) and math.isfinite(value):
        return float(value)
    return str(value)
