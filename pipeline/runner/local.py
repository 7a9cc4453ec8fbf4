"""Runs a pipeline on this machine, one stage at a time, and skips the stages that have not changed."""

import secrets
import time
from collections.abc import Mapping, Sequence, Set

from absl import logging

from components.errors import UserError
from pipeline.console.progress import Display
from pipeline.metadata.executions import Artifact, CacheKey, Execution, Run, State
from pipeline.metadata.store import MetadataStore
from pipeline.root import Root
from pipeline.runner import cache_key, decide, selection
from pipeline.runner.graph import Node, Pipeline
from pipeline.runner.stage_runner import StageRunner


class LocalRunner:
    """Runs pipelines under one root.

    Args:
        root: The folder that everything is written into.
        store: The metadata of the root.
        display: Where progress is shown.
    """

    def __init__(self, root: Root, *, store: MetadataStore, display: Display):
        self._store = store
        self._display = display
        self._stage_runner = StageRunner(root, store=store, display=display)

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
            from_stage: This stage and all that depend on it run. The last outputs of the others are reused unchecked.
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
            _check_early_inputs(pipeline, selected.stages - selected.frozen, published=published, newest=node.name)
        return run

    def _run_or_reuse(self, node: Node, *, run: Run, inputs: Mapping[str, Artifact], forced_by: str) -> Execution:
        """Runs a stage unless an earlier execution with the same cache key can be reused."""
        key = cache_key.build(node.component, inputs=inputs)
        decision = decide.decide(key, history=self._store.executions(stage=node.name), forced_by=forced_by)
        if decision.reuse is None:
            execution = Execution(cache_key=key, why=decision.why)
            self._stage_runner.run(node, execution, run=run, inputs=inputs)
            return execution
        node.component.check_reused(outputs=decision.reuse.folders, figures=decision.reuse.figures)
        return self._record_reuse(decision.reuse, why=decision.why, key=key, run=run, inputs=inputs)

    def _take_last_outputs(self, node: Node, *, run: Run, inputs: Mapping[str, Artifact]) -> Execution:
        """Reuses the last finished execution of a stage, whatever has changed since."""
        last = decide.last_intact(self._store.executions(stage=node.name))
        if last is None:
            raise UserError(
                f"--from needs the outputs of {node.name}, which has not finished here yet: run without --from."
            )
        why = "reused unchecked, because it comes before --from"
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

    def _cancel_killed_executions(self) -> None:
        """Records executions that a killed run left as running as canceled, and removes their outputs."""
        for run in self._store.runs():
            for execution in self._store.executions(run=run):
                if execution.state == State.RUNNING:
                    logging.info("%s was killed in run %s: cleaned up", execution.stage, run.name)
                    execution.state = State.CANCELED
                    execution.summary = "killed"
                    self._stage_runner.discard_outputs(execution)
                    self._store.put(execution, run=run)


def _check_early_inputs(
    pipeline: Pipeline, stages: Set[str], *, published: Mapping[str, Mapping[str, Artifact]], newest: str
) -> None:
    """Lets the stages whose early inputs are complete since the stage `newest` has published check them."""
    for node in pipeline.nodes:
        channels = {key: channel for key, channel in node.inputs.items() if key in node.component.early_inputs}
        sources = {channel.stage for channel in channels.values()}
        if node.name in stages and newest in sources and sources <= published.keys():
            folders = {key: published[channel.stage][channel.output].folder for key, channel in channels.items()}
            node.component.check_inputs(folders)


def _new_name() -> str:
    return f"{time.strftime('%Y%m%d-%H%M%S')}-{secrets.token_hex(2)}"
