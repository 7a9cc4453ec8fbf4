"""Keeps the metadata of a pipeline root: which stages ran in which runs, on what inputs, and why.

In ML Metadata's terms a run is a context. The pipeline (one root) is another context, which holds the executions of all
its runs. Every stage of a run has an execution, and so has a skipped stage: its state is CACHED and its outputs are
the artifacts of the execution that was reused.
"""

import contextlib
import importlib.util
import json
import os
import pathlib
import time
import types
from collections.abc import Iterator, Mapping

from etils import epath

from beam_jobs import storage
from components import file_errors
from components.errors import UserError
from pipeline.metadata import conversion, damaged_store, sqlite
from pipeline.metadata.executions import Artifact, Execution, Run
from pipeline.metadata.records import Event, Record, Records

PIPELINE_TYPE = "pipeline"
RUN_TYPE = "pipeline_run"


class MetadataStore:
    """The metadata of one pipeline root.

    Args:
        uri: See `open_records`.
        pipeline: Name of the pipeline. Roots that share a database need different names. A SQLite file inside its root
            knows its pipeline whatever it is called, so that a root that was moved is recognized.
        root: The folder that recorded paths are relative to; by default that of the SQLite file.
        read_only: Whether nothing is written. A SQLite file that does not exist then counts as empty.

    Raises:
        UserError: The store cannot be opened.
    """

    def __init__(self, uri: str, *, pipeline: str, root: epath.Path | None = None, read_only: bool = False):
        self._place = _without_password(uri)
        self._root = epath.Path(os.path.dirname(uri)) if root is None else root
        with self._errors_explained():
            self._records = open_read_only(uri) if read_only else open_records(uri)
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
        prefix = f"{self._pipeline.name}:"
        with self._errors_explained():
            contexts = [context for context in self._records.contexts(RUN_TYPE) if context.name.startswith(prefix)]
        with damaged_store.wrong_records_explained(self._place):
            return [
                Run(
                    name=context.name.removeprefix(prefix),
                    stages=tuple(json.loads(context.properties["stages"])),
                    preset=context.properties["preset"],
                    id=context.id,
                    started_ms=context.created_ms,
                )
                for context in contexts
            ]

    def put(self, execution: Execution, *, run: Run, inputs: Mapping[str, Artifact] | None = None) -> None:
        """Records an execution in one transaction: a new one, or the new state of a recorded one.

        Args:
            execution: Gets an id if it has none, and so do its outputs.
            run: The run that the execution belongs to.
            inputs: Input channel -> artifact. Omitted when a recorded execution is updated.
        """
        events = [
            Event(artifact=conversion.artifact_record(artifact, root=self._root), channel=channel, output=False)
            for channel, artifact in (inputs or {}).items()
        ]
        events += [
            Event(artifact=conversion.artifact_record(artifact, root=self._root), channel=channel, output=True)
            for channel, artifact in execution.outputs.items()
        ]
        record = conversion.execution_record(execution)
        with self._errors_explained():
            self._records.put_execution(record, events=events, contexts=[self._pipeline, self._run_context(run)])
        execution.id = record.id
        for event in events:
            if event.output:
                execution.outputs[event.channel].id = event.artifact.id

    def executions(self, *, run: Run | None = None, stage: str | None = None) -> list[Execution]:
        """Returns executions with their outputs, oldest first.

        Args:
            run: Only executions in this run.
            stage: Only executions of this stage.
        """
        with self._errors_explained():
            return self._read_executions(self._pipeline if run is None else self._run_context(run), stage=stage)

    def _read_executions(self, context: Record, *, stage: str | None) -> list[Execution]:
        if context.id is None:
            return []
        execution_records = [
            record for record in self._records.executions(context) if stage is None or record.type == stage
        ]
        if not execution_records:
            return []
        outputs: dict[int, dict[str, Artifact]] = {record.id: {} for record in execution_records}
        for event in self._records.events(outputs):
            if event.output:
                outputs[event.execution_id][event.channel] = conversion.artifact(event.artifact, root=self._root)
        with damaged_store.wrong_records_explained(self._place):
            return [conversion.execution(record, outputs=outputs[record.id]) for record in execution_records]

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


def open_records(uri: str) -> Records:
    """Opens the store at `uri`.

    Args:
        uri: Path of a SQLite file, or mysql://user:password@host[:port]/database. The SQLite file is kept by ML
            Metadata, or by `pipeline.metadata.sqlite` if this Python has no build of ML Metadata.

    Raises:
        UserError: The URI names no store that can be opened.
    """
    has_mlmd = importlib.util.find_spec("ml_metadata") is not None
    if uri.startswith("mysql://"):
        if not has_mlmd:
            raise UserError("--metadata mysql:// needs the package ml-metadata, which exists for Python 3.10 and 3.11.")
        return _open_mysql(uri)
    if storage.is_remote(uri):
        raise UserError(f"--metadata {uri} is not a store: give mysql://user:password@host/database or a local file.")
    try:
        pathlib.Path(uri).parent.mkdir(parents=True, exist_ok=True)
        if not has_mlmd:
            return sqlite.SqliteRecords(uri)
        mlmd = _import_mlmd()
        return mlmd.MlmdRecords(mlmd.sqlite_config(uri))
    except Exception as error:  # ML Metadata raises RuntimeError for whatever SQLite reports.
        raise _open_error(uri, error) from error


def open_read_only(uri: str) -> Records:
    """Opens the store at `uri` to read it. A SQLite file and its folder need not be writable and stay as they are.

    Raises:
        UserError: The URI names no store that can be opened.
    """
    if storage.is_remote(uri):
        return open_records(uri)
    try:
        return sqlite.ReadOnlySqliteRecords(uri)
    except (OSError, sqlite.Error) as error:
        raise _open_error(uri, error) from error


def _open_error(uri: str, error: Exception) -> UserError:
    return (
        file_errors.as_user_error(error, place=uri)
        or damaged_store.as_damage(error, place=uri)
        or UserError(
            f"The metadata store {uri} cannot be opened ({damaged_store.reason(error)}): move it away, or name another "
            "with --metadata."
        )
    )


def _open_mysql(uri: str) -> Records:
    mlmd = _import_mlmd()
    config = mlmd.mysql_config(uri)
    try:
        return mlmd.MlmdRecords(config)
    except Exception as error:  # ML Metadata raises RuntimeError for whatever MySQL reports.
        server = config.mysql
        raise UserError(
            f"The metadata store mysql://{server.host}:{server.port}/{server.database} cannot be opened "
            f"({damaged_store.reason(error)}): check that the server runs, and the host, database, user and password "
            "in --metadata."
        ) from error


def _import_mlmd() -> types.ModuleType:
    """Imports `pipeline.metadata.mlmd`, and with it the package ml-metadata."""
    # ML Metadata raises what it logs. It reads this variable when it is imported.
    os.environ.setdefault("GLOG_minloglevel", "3")
    # Imported here because ml-metadata has no build for Python 3.12.
    from pipeline.metadata import mlmd

    return mlmd


def _without_password(uri: str) -> str:
    """Returns the path of a SQLite file as it is, and a URL without its user and password."""
    if not storage.is_remote(uri):
        return uri
    scheme, _, rest = uri.partition("://")
    return f"{scheme}://{rest.rpartition('@')[2]}"


def _is_inside(uri: str, root: epath.Path) -> bool:
    """Returns whether a store is a SQLite file directly in the root folder."""
    return not storage.is_remote(uri) and storage.canonical(os.path.dirname(uri)) == storage.canonical(os.fspath(root))
