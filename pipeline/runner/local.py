"""Runs a pipeline on this machine, one stage at a time, and skips the stages that have not changed.

A stage writes into a staging folder. When it ends well, the folder is renamed into place and the execution is recorded
as complete. Whatever stops a run before that (an error, Ctrl-C, SIGTERM, kill -9), nothing half-written is published,
and the next run continues from the stage's work folder.
"""

import os
import secrets
import time
from collections.abc import Mapping, Sequence

from absl import logging
from etils import epath

from beam_jobs import storage
from components.base import StageContext, StageResult
from components.errors import UserError
from pipeline import digests
from pipeline.console.progress import Display, duration
from pipeline.metadata.executions import Artifact, CacheKey, Execution, Run, State
from pipeline.metadata.store import MetadataStore
from pipeline.root import Root
from pipeline.runner import cache_key, decide, interrupts, selection
from pipeline.runner.graph import Node, Pipeline

MAX_ERROR_LENGTH = 200
"""Number of characters of an unexpected error that the summary of an execution keeps."""


class LocalRunner:
    """Runs pipelines under one root.

    Args:
        root: The folder that everything is written into.
        store: The metadata of the root.
        display: Where progress is shown.
    """

    def __init__(self, root: Root, *, store: MetadataStore, display: Display):
        self._root = root
        self._store = store
        self._display = display

    def run(
        self,
        pipeline: Pipeline,
        *,
        preset: str = "",
        force: Sequence[str] = (),
        from_stage: str | None = None,
        until_stage: str | None = None,
    ) -> Run:
        """Runs the stages that changed. Call it inside `root.lock()` and `interrupts.as_exceptions()`.

        Args:
            pipeline: The pipeline.
            preset: Name of the preset, which is recorded with the run.
            force: Stages that run even if nothing changed.
            from_stage: This stage and all that depend on it run. The last outputs of the others are taken as they are.
            until_stage: Only this stage and those it depends on run.

        Raises:
            UserError: A stage raised it, or the flags contradict each other.
            Interrupted: A signal stopped the run. The stage that was running is recorded as canceled.
        """
        selected = selection.select(pipeline, force=force, from_stage=from_stage, until_stage=until_stage)
        for node in pipeline.nodes:
            if node.name in selected.stages - selected.frozen:
                node.component.check()

        self._cancel_killed_executions()
        run = Run(name=_new_name(), stages=tuple(pipeline.stages), preset=preset)
        self._store.start_run(run)
        published: dict[str, dict[str, Artifact]] = {}
        for node in pipeline.nodes:
            if node.name not in selected.stages:
                continue
            inputs = {key: published[channel.stage][channel.output] for key, channel in node.inputs.items()}
            if node.name in selected.frozen:
                execution = self._take_last_outputs(node, run=run, inputs=inputs)
            else:
                forced_by = selected.forced_by.get(node.name, "")
                execution = self._run_or_reuse(node, run=run, inputs=inputs, forced_by=forced_by)
            published[node.name] = execution.outputs
        return run

    def _run_or_reuse(self, node: Node, *, run: Run, inputs: Mapping[str, Artifact], forced_by: str) -> Execution:
        """Runs a stage unless an earlier execution has the same cache key."""
        key = cache_key.build(node.component, inputs=inputs)
        decision = decide.decide(key, history=self._store.executions(stage=node.name), forced_by=forced_by)
        if decision.reuse is None:
            execution = Execution(cache_key=key, why=decision.why)
            self._run_stage(node, execution, run=run, inputs=inputs)
            return execution
        node.component.check_reused(outputs=_folders(decision.reuse.outputs), figures=decision.reuse.figures)
        return self._record_reuse(decision.reuse, why=decision.why, key=key, run=run, inputs=inputs)

    def _take_last_outputs(self, node: Node, *, run: Run, inputs: Mapping[str, Artifact]) -> Execution:
        """Reuses the last finished execution of a stage, whatever has changed since."""
        last = self._last_finished(node.name)
        if last is None:
            raise UserError(
                f"--from needs the outputs of {node.name}, which has not finished here yet: run without --from."
            )
        why = "taken as it is, ahead of --from"
        return self._record_reuse(last, why=why, key=last.cache_key, run=run, inputs=inputs)

    def _record_reuse(
        self, reused: Execution, *, why: str, key: CacheKey, run: Run, inputs: Mapping[str, Artifact]
    ) -> Execution:
        """Records an execution of this run that reuses the outputs of an earlier one."""
        execution = Execution(
            cache_key=key,
            state=State.CACHED,
            why=why,
            summary=reused.summary,
            figures=reused.figures,
            outputs=reused.outputs,
        )
        self._store.put(execution, run=run, inputs=inputs)
        self._display.say(f"{execution.stage}: skipped, {why}")
        return execution

    def _run_stage(self, node: Node, execution: Execution, *, run: Run, inputs: Mapping[str, Artifact]) -> None:
        """Runs a stage and publishes its outputs, or records that it failed or was stopped."""
        self._display.say(f"{node.name}: runs, {execution.why}")
        started = time.monotonic()
        self._store.put(execution, run=run, inputs=inputs)
        try:
            result = self._execute(node, execution, inputs=inputs)
            self._publish(node, execution, result, run=run, started=started)
        except BaseException as error:
            if execution.state != State.COMPLETE:
                with interrupts.deferred():
                    self._record_failure(execution, error, run=run, seconds=time.monotonic() - started)
            raise
        self._display.say(f"{node.name}: done in {duration(execution.seconds)}, {execution.summary}")

    def _execute(self, node: Node, execution: Execution, *, inputs: Mapping[str, Artifact]) -> StageResult:
        """Creates the folders of an execution and calls the executor, which writes into staging."""
        work = self._work_folder(execution)
        events = self._root.events(stage=execution.stage, cache_key=execution.cache_key.digest)
        if not work.exists():
            # This execution does not continue an earlier one, so old curves would overlap the new ones.
            storage.remove_tree(events)
        staging = self._root.staging(execution.id)
        storage.remove_tree(staging)
        outputs = {channel: staging / channel for channel in node.component.outputs}
        for folder in (*outputs.values(), work, events):
            folder.mkdir(parents=True, exist_ok=True)
        previous = self._last_finished(node.name)
        with self._display.stage(node.name) as progress:
            context = StageContext(
                work_dir=work,
                tensorboard_dir=events,
                progress=progress,
                previous={} if previous is None else _folders(previous.outputs),
            )
            return node.component.execute(inputs=_folders(inputs), outputs=outputs, context=context)

    def _publish(self, node: Node, execution: Execution, result: StageResult, *, run: Run, started: float) -> None:
        """Moves the outputs of an execution from staging into place and records it as complete."""
        staging = self._root.staging(execution.id)
        artifacts = {}
        for channel, artifact_type in node.component.outputs.items():
            target = self._root.published(stage=node.name, output=channel, execution_id=execution.id)
            artifacts[channel] = Artifact(
                type=artifact_type.value,
                uri=os.fspath(target),
                digest=digests.content_digest(staging / channel),
                listing=digests.listing_digest(staging / channel),
            )
        with interrupts.deferred():
            for channel, artifact in artifacts.items():
                target = epath.Path(artifact.uri)
                # Ids start again when the metadata is deleted, so the folder may be there already.
                storage.remove_tree(target)
                target.parent.mkdir(parents=True, exist_ok=True)
                (staging / channel).rename(target)
            execution.outputs = artifacts
            execution.state = State.COMPLETE
            execution.summary = result.summary
            execution.figures = dict(result.figures)
            execution.seconds = time.monotonic() - started
            self._store.put(execution, run=run)
            storage.remove_tree(staging)
            storage.remove_tree(self._work_folder(execution))

    def _record_failure(self, execution: Execution, error: BaseException, *, run: Run, seconds: float) -> None:
        if isinstance(error, KeyboardInterrupt):
            execution.state = State.CANCELED
            execution.summary = "stopped"
        else:
            execution.state = State.FAILED
            execution.summary = _one_line(error)
        execution.seconds = seconds
        self._discard_outputs(execution)
        self._store.put(execution, run=run)

    def _cancel_killed_executions(self) -> None:
        """Records executions that a killed run left behind as canceled, and removes their outputs."""
        for run in self._store.runs():
            for execution in self._store.executions(run=run):
                if execution.state == State.RUNNING:
                    logging.info("%s was killed in run %s: cleaned up", execution.stage, run.name)
                    execution.state = State.CANCELED
                    execution.summary = "killed"
                    self._discard_outputs(execution)
                    self._store.put(execution, run=run)

    def _discard_outputs(self, execution: Execution) -> None:
        """Removes the outputs of an unfinished execution. Its work folder stays, so that the next run continues."""
        execution.outputs = {}
        storage.remove_tree(self._root.staging(execution.id))
        for folder in self._root.all_published(stage=execution.stage, execution_id=execution.id):
            storage.remove_tree(folder)

    def _last_finished(self, stage: str) -> Execution | None:
        """Returns the last execution of a stage whose outputs are all intact, if there is one."""
        for execution in reversed(self._store.executions(stage=stage)):
            if execution.state.is_finished and all(map(decide.is_intact, execution.outputs.values())):
                return execution
        return None

    def _work_folder(self, execution: Execution) -> epath.Path:
        return self._root.work(stage=execution.stage, cache_key=execution.cache_key.digest)


def _new_name() -> str:
    return f"{time.strftime('%Y%m%d-%H%M%S')}-{secrets.token_hex(2)}"


def _folders(artifacts: Mapping[str, Artifact]) -> dict[str, epath.Path]:
    return {channel: epath.Path(artifact.uri) for channel, artifact in artifacts.items()}


def _one_line(error: BaseException) -> str:
    """Returns a user error as it is, and any other error as its type and the first line of its message."""
    if isinstance(error, UserError):
        return str(error)
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    if not lines:
        return type(error).__name__
    return f"{type(error).__name__}: {lines[0][:MAX_ERROR_LENGTH]}"
