"""What ran, with what and why: runs, stage executions and artifacts, kept in ML Metadata.

A run is a context; so is the pipeline (one root), which holds the executions of all its runs. An execution is one
stage in one run, skipped ones included (state CACHED, with the artifacts of the execution they stand for).
"""

import dataclasses
import enum
import json
import time
from collections.abc import Iterable, Mapping, Sequence

from pipeline import digests
from pipeline.metadata import records
from pipeline.metadata.records import Event, Record, Value

PIPELINE_TYPE = "pipeline"
RUN_TYPE = "pipeline_run"
LIVE = 2  # ML Metadata's Artifact.State


class State(enum.IntEnum):
    """How an execution stands; the values are ML Metadata's `Execution.State`."""

    RUNNING = 2
    COMPLETE = 3
    FAILED = 4
    CACHED = 5
    CANCELED = 6

    @property
    def finished(self) -> bool:
        """Whether its outputs are published."""
        return self in (State.COMPLETE, State.CACHED)


@dataclasses.dataclass(kw_only=True)
class Artifact:
    """A published folder.

    Attributes:
        type: Name of its `ArtifactType`.
        uri: The folder.
        fingerprint: Digest of its content.
        listing: Digest of its files' names and sizes.
        id: Of the record; None for one not yet recorded.
    """

    type: str
    uri: str
    fingerprint: str
    listing: str
    id: int | None = None

    def record(self) -> Record:
        """The artifact in the store's terms."""
        properties: dict[str, Value] = {"fingerprint": self.fingerprint, "listing": self.listing}
        return Record(type=self.type, id=self.id, state=LIVE, uri=self.uri, properties=properties)

    @classmethod
    def of(cls, record: Record) -> "Artifact":
        """The other way round."""
        digests = {key: str(record.properties.get(key, "")) for key in ("fingerprint", "listing")}
        return cls(type=record.type, uri=record.uri, id=record.id, **digests)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Recipe:
    """Everything that decides a stage's outputs.

    Attributes:
        stage: Its name.
        config: Its config as JSON values.
        code: Module -> digest.
        inputs: Input channel -> content digest.
        external: Name -> digest of what it reads from outside the pipeline.
    """

    stage: str
    config: Mapping[str, object]
    code: Mapping[str, str]
    inputs: Mapping[str, str]
    external: Mapping[str, str]

    @property
    def key(self) -> str:
        """Equal keys mean equal outputs."""
        return digests.json_digest(dataclasses.asdict(self))


@dataclasses.dataclass(kw_only=True)
class Execution:
    """One stage in one run.

    Attributes:
        recipe: What decided its outputs.
        state: See `State`.
        why: Why it ran or was skipped.
        summary: The stage's own line on what it did, or on what went wrong.
        seconds: How long it took.
        figures: The stage's own numbers.
        outputs: Output channel -> artifact, once finished.
        id: Of the record.
        started_ms: Milliseconds since 1970.
    """

    recipe: Recipe
    state: State = State.RUNNING
    why: str = ""
    summary: str = ""
    seconds: float = 0.0
    figures: dict[str, Value] = dataclasses.field(default_factory=dict)
    outputs: dict[str, Artifact] = dataclasses.field(default_factory=dict)
    id: int | None = None
    started_ms: int = 0

    @property
    def stage(self) -> str:
        """The stage's name."""
        return self.recipe.stage


@dataclasses.dataclass(kw_only=True)
class Run:
    """One `diptych run`.

    Attributes:
        name: Unique under its root.
        stages: All stages that it was to go through, in order.
        preset: Where its config came from.
        id: Of the record.
        started_ms: Milliseconds since 1970.
    """

    name: str
    stages: tuple[str, ...]
    preset: str = ""
    id: int | None = None
    started_ms: int = 0


class MetadataStore:
    """The metadata of one pipeline root.

    Args:
        uri: See `records.open_records`.
        pipeline: Name of the pipeline; roots that share a MySQL store must differ in it.

    Raises:
        UserError: the store does not open.
    """

    def __init__(self, uri: str, *, pipeline: str):
        self._records = records.open_records(uri)
        self._name = pipeline
        self._pipeline = next((c for c in self._records.contexts(PIPELINE_TYPE) if c.name == pipeline), None)
        if self._pipeline is None:
            self._pipeline = Record(type=PIPELINE_TYPE, name=pipeline)
            self._records.put_context(self._pipeline)

    def start_run(self, run: Run) -> None:
        """Records a new run; sets its id and when it started."""
        context = self._run_context(run)
        self._records.put_context(context)
        run.id, run.started_ms = context.id, time.time_ns() // 1_000_000

    def runs(self) -> list[Run]:
        """All runs, oldest first."""
        contexts = self._records.contexts(RUN_TYPE)
        return [
            Run(
                name=context.name.removeprefix(f"{self._name}:"),
                stages=tuple(json.loads(context.properties["stages"])),
                preset=context.properties["preset"],
                id=context.id,
                started_ms=context.created_ms,
            )
            for context in contexts
            if context.name.startswith(f"{self._name}:")
        ]

    def put(self, execution: Execution, *, run: Run, inputs: Mapping[str, Artifact] | None = None) -> None:
        """Records an execution, or what became of it, with the artifacts it read and published, in one transaction."""
        events = [Event(artifact=a.record(), channel=c, output=False) for c, a in (inputs or {}).items()]
        events += [Event(artifact=a.record(), channel=c, output=True) for c, a in execution.outputs.items()]
        record = Record(
            type=execution.stage,
            id=execution.id,
            state=int(execution.state),
            properties={
                "cache_key": execution.recipe.key,
                "config": json.dumps(execution.recipe.config),
                "code": json.dumps(execution.recipe.code),
                "inputs": json.dumps(execution.recipe.inputs),
                "external": json.dumps(execution.recipe.external),
                "why": execution.why,
                "summary": execution.summary,
                "seconds": float(execution.seconds),
                **{f"figure.{key}": records.plain(value) for key, value in execution.figures.items()},
            },
        )
        self._records.put_execution(record, events=events, contexts=[self._pipeline, self._run_context(run)])
        execution.id = record.id
        for event in events:
            if event.output:
                execution.outputs[event.channel].id = event.artifact.id

    def executions(self, *, run: Run | None = None, stage: str | None = None) -> list[Execution]:
        """Executions of a run (None: of all runs) and of a stage (None: of all), oldest first, with their outputs."""
        found = self._records.executions(self._run_context(run) if run else self._pipeline)
        chosen = [record for record in found if stage in (None, record.type)]
        events = self._records.events([record.id for record in chosen]) if chosen else []
        return [self._execution(record, events) for record in chosen]

    def _run_context(self, run: Run) -> Record:
        properties: dict[str, Value] = {"stages": json.dumps(run.stages), "preset": run.preset}
        return Record(type=RUN_TYPE, id=run.id, name=f"{self._name}:{run.name}", properties=properties)

    @staticmethod
    def _execution(record: Record, events: Sequence[Event] | Iterable[Event]) -> Execution:
        properties = record.properties
        parts = {key: json.loads(properties[key]) for key in ("config", "code", "inputs", "external")}
        outputs = {e.channel: Artifact.of(e.artifact) for e in events if e.execution_id == record.id and e.output}
        figures = {k.removeprefix("figure."): v for k, v in properties.items() if k.startswith("figure.")}
        return Execution(
            recipe=Recipe(stage=record.type, **parts),
            state=State(record.state),
            why=properties["why"],
            summary=properties["summary"],
            seconds=properties["seconds"],
            figures=figures,
            outputs=outputs,
            id=record.id,
            started_ms=record.created_ms,
        )
