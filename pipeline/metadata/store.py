"""Keeps the metadata of a pipeline root: which stages ran in which runs, on what inputs, and why.

In ML Metadata's terms a run is a context. The pipeline (one root) is another context, which holds the executions of all
its runs. Every stage of a run has an execution, and so has a skipped stage: its state is CACHED and its outputs are
the artifacts of the execution that was reused.
"""

import contextlib
import json
import os
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence

from etils import epath

from beam_jobs import storage
from components import file_errors
from pipeline.metadata import conversion, damaged_store, opening
from pipeline.metadata.executions import Artifact, Execution, Run, State, Use
from pipeline.metadata.records import Event, Query, Record

PIPELINE_TYPE = "pipeline"
RUN_TYPE = "pipeline_run"


class MetadataStore:
    """The metadata of one pipeline root.

    Args:
        uri: See `opening.open_records`.
        pipeline: Name of the pipeline. Roots that share a database need different names. A SQLite file inside its root
            knows its pipeline whatever it is called, so that a root that was moved is recognized.
        root: The folder that recorded paths are relative to; by default that of the SQLite file.
        read_only: Whether nothing is written. A SQLite file that does not exist then counts as empty.

    Raises:
        UserError: The store cannot be opened.
    """

    def __init__(self, uri: str, *, pipeline: str, root: epath.Path | None = None, read_only: bool = False):
        self._place = opening.without_password(uri)
        self._root = epath.Path(os.path.dirname(uri)) if root is None else root
        with self._errors_explained():
            self._records = opening.open_read_only(uri) if read_only else opening.open_records(uri)
            self._pipeline = self._pipeline_context(pipeline, is_in_root=root is not None and _is_inside(uri, root))
            if self._pipeline.id is None and not read_only:
                self._records.put_context(self._pipeline)

    def start_run(self, run: Run) -> None:
        """Records a new run and sets its id and start time."""
        context = self._run_context(run)
        with self._errors_explained():
            self._records.put_context(context)
        run.id = context.id
        run.started_ms = time.time_ns() // 1_000_000

    def runs(self) -> list[Run]:
        """Returns all runs, oldest first."""
        # Names of runs have no colon, and the name of another pipeline may begin with this one's and a colon.
        with self._errors_explained():
            every = self._records.contexts(RUN_TYPE)
            contexts = [context for context in every if context.name.rpartition(":")[0] == self._pipeline.name]
        with damaged_store.wrong_records_explained(self._place):
            return [
                Run(
                    name=context.name.rpartition(":")[2],
                    stages=tuple(json.loads(context.properties["stages"])),
                    preset=context.properties["preset"],
                    id=context.id,
                    started_ms=context.created_ms,
                )
                for context in contexts
            ]

    def newest_id(self) -> int:
        """Returns the highest id of an execution, of any pipeline; 0 if there is none."""
        with self._errors_explained():
            return self._records.newest_execution_id()

    def put(
        self,
        execution: Execution,
        *,
        run: Run | None = None,
        inputs: Mapping[str, Artifact] | None = None,
        new_id: int = 0,
    ) -> None:
        """Records an execution in one transaction: a new one, or the new state of a recorded one.

        Args:
            execution: Gets an id if it has none, and so do its outputs.
            run: The run that the execution belongs to. May be omitted when a recorded execution is updated.
            inputs: Input channel -> artifact. Omitted when a recorded execution is updated. An artifact that comes by
                several channels is recorded as an input once, by the first of them.
            new_id: The lowest id that a new execution may get.
        """
        events = [
            Event(artifact=conversion.artifact_record(artifact, root=self._root), channel=channel, output=False)
            for channel, artifact in _once_each(inputs or {}).items()
        ]
        for artifact in execution.outputs.values():
            artifact.is_removed = False  # It is there, even if its removal was recorded and then cut short.
        events += [
            Event(artifact=conversion.artifact_record(artifact, root=self._root), channel=channel, output=True)
            for channel, artifact in execution.outputs.items()
        ]
        record = conversion.execution_record(execution)
        contexts = [self._pipeline] if run is None else [self._pipeline, self._run_context(run)]
        with self._errors_explained():
            self._records.put_execution(record, events=events, contexts=contexts, new_id=new_id)
        execution.id = record.id
        for event in events:
            if event.output:
                execution.outputs[event.channel].id = event.artifact.id

    def executions(
        self,
        *,
        run: Run | None = None,
        stage: str = "",
        ids: Iterable[int] | None = None,
        states: Sequence[State] = (),
        cache_key: str = "",
        below: int | None = None,
        newest: int | None = None,
    ) -> list[Execution]:
        """Returns executions with their outputs, oldest first.

        Args:
            run: Only executions in this run.
            stage: Only executions of this stage.
            ids: Only executions with these ids.
            states: Only executions in one of these states.
            cache_key: Only executions whose cache key has this digest.
            below: Only executions with lower ids.
            newest: At most so many, the newest.
        """
        context = self._pipeline if run is None else self._run_context(run)
        if context.id is None:
            return []
        query = Query(
            type=stage,
            ids=None if ids is None else frozenset(ids),
            states=tuple(map(int, states)),
            properties={conversion.CACHE_KEY: cache_key} if cache_key else {},
            below=below,
            newest=newest,
        )
        with self._errors_explained():
            return self._with_outputs(self._records.executions(context, query))

    def artifacts(self, type_name: str = "") -> list[Artifact]:
        """Returns all artifacts, by default of any type, oldest first."""
        if self._pipeline.id is None:
            return []
        with self._errors_explained():
            records = self._records.artifacts(self._pipeline, type_name=type_name)
        return [conversion.artifact(record, root=self._root) for record in records]

    def uses(self, executions: Iterable[Execution]) -> list[Use]:
        """Returns what executions wrote and read."""
        with self._errors_explained():
            return self._as_uses(self._records.events([execution.id for execution in executions]))

    def uses_of(self, artifacts: Iterable[Artifact]) -> list[Use]:
        """Returns which executions wrote, reused and read artifacts."""
        with self._errors_explained():
            return self._as_uses(self._records.events_of([artifact.id for artifact in artifacts]))

    def writers(self, artifacts: Iterable[Artifact]) -> dict[int, int]:
        """Returns the execution that wrote each artifact, rather than reusing it: artifact id -> execution id."""
        with self._errors_explained():
            return self._records.writers([artifact.id for artifact in artifacts])

    def record_removal(self, artifact: Artifact) -> None:
        """Records that the folder of an artifact is removed, which nothing refers to any longer."""
        artifact.is_removed = True
        with self._errors_explained():
            self._records.put_artifact(conversion.artifact_record(artifact, root=self._root))

    def _with_outputs(self, records: Sequence[Record]) -> list[Execution]:
        outputs: dict[int, dict[str, Artifact]] = {record.id: {} for record in records}
        for use in self._as_uses(self._records.events(outputs)):
            if use.is_output:
                outputs[use.execution_id][use.channel] = use.artifact
        with damaged_store.wrong_records_explained(self._place):
            return [conversion.execution(record, outputs=outputs[record.id]) for record in records]

    def _as_uses(self, events: Iterable[Event]) -> list[Use]:
        return [
            Use(
                execution_id=event.execution_id,
                channel=event.channel,
                artifact=conversion.artifact(event.artifact, root=self._root),
                is_output=event.output,
            )
            for event in events
        ]

    @contextlib.contextmanager
    def _errors_explained(self) -> Iterator[None]:
        """Turns a full disk, a damaged store and the like within the `with` block into one sentence that names it."""
        with file_errors.as_user_errors(place=self._place), damaged_store.explained(self._place):
            yield

    def _pipeline_context(self, name: str, *, is_in_root: bool) -> Record:
        """Returns the context of the pipeline, which has no id if it is new."""
        contexts = self._records.contexts(PIPELINE_TYPE)
        named = [context for context in contexts if context.name == name]
        if named:
            return named[0]
        if contexts and is_in_root:
            return contexts[-1]
        return Record(type=PIPELINE_TYPE, name=name)

    def _run_context(self, run: Run) -> Record:
        return Record(
            type=RUN_TYPE,
            id=run.id,
            name=f"{self._pipeline.name}:{run.name}",
            properties={"stages": json.dumps(run.stages), "preset": run.preset},
        )


def _once_each(inputs: Mapping[str, Artifact]) -> dict[str, Artifact]:
    """Returns the inputs without further channels of the same artifact: ML Metadata keeps one event for each."""
    first_channels: dict[int | None, str] = {}
    for channel, artifact in inputs.items():
        first_channels.setdefault(artifact.id, channel)
    return {channel: inputs[channel] for channel in first_channels.values()}


def _is_inside(uri: str, root: epath.Path) -> bool:
    """Returns whether a store is a SQLite file directly in the root folder."""
    return not storage.is_remote(uri) and storage.canonical(os.path.dirname(uri)) == storage.canonical(os.fspath(root))
