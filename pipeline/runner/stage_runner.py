"""Runs one stage, and publishes what it wrote or removes it.

A stage writes into a staging folder. When it ends well, the folder is renamed into place and the execution is recorded
as complete. Under a remote root, which cannot rename a folder at once, it writes in place, and only the record of the
execution makes its outputs visible. Whatever stops a run before that (an error, Ctrl-C, SIGTERM, kill -9), nothing
half-written is published, and the next run continues from the stage's work folder.
"""

import dataclasses
import os
import time
import types
from collections.abc import Callable, Mapping

from absl import logging
from etils import epath

from beam_jobs import error_text, storage
from components import file_errors
from components.base import Component, StageContext, StageResult
from components.errors import UserError
from pipeline import checksums, listings
from pipeline.console.durations import duration
from pipeline.console.progress import Display, StageProgress
from pipeline.event_folders import EventFolders
from pipeline.metadata.executions import Artifact, Execution, Run, State
from pipeline.metadata.history import History
from pipeline.metadata.store import MetadataStore
from pipeline.root import Root
from pipeline.runner import altered_inputs, decide, interrupts
from pipeline.runner.graph import Node
from pipeline.runner.supervision import Supervision

CPU_S = "cpu_s"
"""Name among the figures of an execution of the processor time that it took, in seconds over all cores.

Of a stage that continued an earlier execution, it is that of the last one.
"""

UNIT_S = "unit_s"
"""Name among them of how long a unit of `Component.amount` took, in seconds, without what the stage did before."""

MAX_ERROR_LENGTH = 200
"""Number of characters of an unexpected error that the summary of an execution keeps."""


class StageRunner:
    """Runs single stages under one root.

    Args:
        root: The folder that everything is written into.
        store: The metadata of the root.
        display: Where progress is shown.
        supervision: How stages are looked after.
    """

    def __init__(self, root: Root, *, store: MetadataStore, display: Display, supervision: Supervision | None = None):
        self._root = root
        self._store = store
        self._display = display
        self._supervision = supervision or Supervision()

    def run(
        self,
        node: Node,
        execution: Execution,
        *,
        run: Run,
        inputs: Mapping[str, Artifact],
        read_by_path: Mapping[str, Artifact] = types.MappingProxyType({}),
        extended: Execution | None = None,
        on_start: Callable[[], None],
        on_stall: Callable[[str], None],
    ) -> None:
        """Runs a stage and publishes its outputs, or records that it failed or was stopped.

        Args:
            node: The stage.
            execution: A new execution of the stage. Gets an id, a state, a summary and outputs.
            run: The run that the execution belongs to.
            inputs: Input channel -> artifact.
            read_by_path: What else the stage reads of this root, by channel. It is recorded as an input.
            extended: The finished execution that this one extends, if any. It is recorded as an input.
            on_start: Called when the execution is recorded as running.
            on_stall: Called in another thread, with a sentence, when the stage makes no progress for long.

        Raises:
            UserError: The user can correct the cause of the failure.
            Interrupted: A signal stopped the stage.
            Exception: The stage has a bug.
        """
        self._display.say(f"{node.name}: runs, {execution.why}")
        started, cpu_s = time.monotonic(), _cpu_s()
        try:
            with file_errors.as_user_errors(place=os.fspath(self._root.path)):
                before = {} if extended is None else extended.outputs
                recorded = {f"extended_{name}": artifact for name, artifact in before.items()}
                self.put_new(execution, run=run, inputs={**inputs, **read_by_path, **recorded})
                on_start()
                options = self._supervision.of_display(node.name)
                with self._display.stage(node.name, on_stall=on_stall, **options) as progress:
                    result = self._execute(node, execution, run=run, inputs=inputs, extended=before, progress=progress)
                measured = {CPU_S: round(_cpu_s() - cpu_s, 3)}
                if node.component.amount and progress.seconds_per_unit is not None:
                    measured[UNIT_S] = progress.seconds_per_unit
                result = dataclasses.replace(result, figures={**result.figures, **measured})
                self._publish(node, execution, result, run=run, started=started)
        except BaseException as error:
            if execution.state != State.COMPLETE and execution.id is not None:
                with interrupts.deferred():
                    self._record_failure(execution, error, run=run, seconds=time.monotonic() - started)
            raise
        self._display.say(f"{node.name}: done in {duration(execution.seconds)}, {execution.summary}")

    def discard_outputs(self, execution: Execution) -> None:
        """Removes the outputs of an unfinished execution. Its work folder stays, so that the next run continues."""
        execution.outputs = {}
        listings.forget()
        storage.remove_tree(self._root.staging(execution.id))
        for folder in self._root.all_published(stage=execution.stage, execution_id=execution.id):
            checksums.remove(folder)  # First, and also without a folder: they are written before it is published.
            storage.remove_tree(folder)

    def put_new(self, execution: Execution, *, run: Run, inputs: Mapping[str, Artifact]) -> None:
        """Records a new execution, with an id that no other has had under this root, whatever metadata knew that one.

        Ids start again in new metadata, where an earlier one was lost or is elsewhere. Its outputs must stay.
        """
        newest = self._store.newest_id()
        taken = self._root.take_id(above=newest)
        if newest == 0 and (self._root.path / "artifacts").exists():
            logging.warning(
                "%s has outputs that this metadata does not know, and that stay: if there is other metadata of them, "
                "give it with --metadata to use them",
                self._root.path,
            )
        self._store.put(execution, run=run, inputs=inputs, new_id=taken)
        if execution.id > taken:  # Another root shares the database.
            self._root.take_id(above=execution.id - 1)

    def _execute(
        self,
        node: Node,
        execution: Execution,
        *,
        run: Run,
        inputs: Mapping[str, Artifact],
        extended: Mapping[str, Artifact],
        progress: StageProgress,
    ) -> StageResult:
        """Creates the folders of an execution and calls the executor, which writes into staging."""
        for channel in node.component.outputs:
            self._root.check_output(stage=node.name, output=channel)
        history = History(self._store, node.name, below=execution.id)
        work = self._work_folder(execution)
        events = EventFolders(self._root, run.stages)
        key = {"stage": execution.stage, "cache_key": execution.cache_key.digest}
        if _is_left_over(history, execution, component=node.component):
            storage.remove_tree(work)
        if not work.exists():
            # This execution does not continue an earlier one, so old curves would overlap the new ones.
            events.remove(**key)
        outputs = {
            channel: self._root.unpublished(stage=node.name, output=channel, execution_id=execution.id)
            for channel in node.component.outputs
        }
        for folder in (*outputs.values(), work):
            folder.mkdir(parents=True, exist_ok=True)
        earlier_work_dirs = _other_folders_beside(work)
        previous = decide.last_intact(history, reports=node.component.reports)
        context = StageContext(
            work_dir=work,
            tensorboard_dir=events.create(**key),
            progress=progress,
            previous={} if previous is None else previous.folders,
            earlier_work_dirs=earlier_work_dirs,
            extended={channel: artifact.folder for channel, artifact in extended.items()},
        )
        input_folders = {channel: artifact.folder for channel, artifact in inputs.items()}
        published = altered_inputs.of(node, inputs, channels=node.inputs)
        with altered_inputs.explained(published, say=self._display.say):
            return node.component.execute(inputs=input_folders, outputs=outputs, context=context)

    def _publish(self, node: Node, execution: Execution, result: StageResult, *, run: Run, started: float) -> None:
        """Moves the outputs of an execution into place and records it as complete."""
        artifacts = {}
        written = {}
        for channel, artifact_type in node.component.outputs.items():
            place = {"stage": node.name, "output": channel, "execution_id": execution.id}
            written[channel] = self._root.unpublished(**place)
            target = self._root.published(**place)
            artifacts[channel] = Artifact(
                type=artifact_type.value,
                uri=os.fspath(target),
                digest=checksums.write(target, staged=written[channel], reports=node.component.reports),
                listing=listings.describe(written[channel], reports=node.component.reports),
            )
        self._root.check_held()
        with interrupts.deferred():
            for channel, artifact in artifacts.items():
                if written[channel] != artifact.folder:
                    artifact.folder.parent.mkdir(parents=True, exist_ok=True)
                    written[channel].rename(artifact.folder)
            execution.outputs = artifacts
            execution.summary = result.summary
            execution.figures = dict(result.figures)
            execution.seconds = time.monotonic() - started
            self._record_complete(execution, run=run)
        self._remove_scratch(execution, has_finished=not node.component.unfinished(result.figures))

    def _remove_scratch(self, execution: Execution, *, has_finished: bool) -> None:
        """Removes what a published execution no longer needs. If that fails, the next one with its cache key does."""
        try:
            storage.remove_tree(self._root.staging(execution.id))
            if has_finished:
                storage.remove_tree(self._work_folder(execution))
        except Exception as error:  # Remote file systems raise errors of many types.
            logging.warning("temporary files of %s cannot be removed: %s", execution.stage, error)

    def _record_complete(self, execution: Execution, *, run: Run) -> None:
        execution.state = State.COMPLETE
        try:
            self._store.put(execution, run=run)
        except BaseException:
            execution.state = State.RUNNING
            raise

    def _record_failure(self, execution: Execution, error: BaseException, *, run: Run, seconds: float) -> None:
        if isinstance(error, KeyboardInterrupt):
            execution.state = State.CANCELED
            execution.summary = f"stopped: {error.reason}" if getattr(error, "reason", "") else "stopped"
        else:
            execution.state = State.FAILED
            execution.summary = one_line(error)
        execution.seconds = seconds
        try:
            self.discard_outputs(execution)
            self._store.put(execution, run=run)
        except Exception as second_error:  # The first one says why, e.g. that the disk is full. The next run cleans up.
            logging.info("the failure of %s cannot be recorded: %s", execution.stage, second_error)

    def _work_folder(self, execution: Execution) -> epath.Path:
        return self._root.work(stage=execution.stage, cache_key=execution.cache_key.digest)


def _is_left_over(history: History, execution: Execution, *, component: Component) -> bool:
    """Returns whether a work folder is that of an execution that has finished, and whose run was stopped thereafter."""
    last = history.last_that_ran(cache_key=execution.cache_key.digest)
    return last is not None and last.state.is_finished and not component.unfinished(last.figures)


def _other_folders_beside(folder: epath.Path) -> list[epath.Path]:
    return [path for path in folder.parent.iterdir() if path != folder and path.is_dir()]


def _cpu_s() -> float:
    """Returns the processor time of this process and of its children that have ended, in seconds."""
    times = os.times()
    return times.user + times.system + times.children_user + times.children_system


def one_line(error: BaseException) -> str:
    """Returns the message of a user error, or the type and the first line of any other error."""
    if isinstance(error, UserError):
        return str(error)
    name, line = type(error).__name__, error_text.first_line(error)
    return name if line == name else f"{name}: {line[:MAX_ERROR_LENGTH]}"
