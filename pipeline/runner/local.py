"""Runs a pipeline on this machine, one stage at a time, and skips the stages that have not changed."""

import secrets
import time
from collections.abc import Mapping, Sequence

from absl import logging

from components.errors import UserError
from pipeline import listings
from pipeline.console import estimates
from pipeline.console.overview import Overview
from pipeline.console.progress import Display
from pipeline.metadata.executions import REFUSED, Artifact, CacheKey, Execution, Run, State
from pipeline.metadata.store import MetadataStore
from pipeline.root import Root
from pipeline.runner import altered_inputs, expected, preparation, retries, selection, time_limits
from pipeline.runner.graph import Node, Pipeline
from pipeline.runner.preparation import Preparation
from pipeline.runner.selection import Selection
from pipeline.runner.stage_runner import StageRunner
from pipeline.runner.supervision import Supervision


class LocalRunner:
    """Runs pipelines under one root.

    Args:
        root: The folder that everything is written into.
        store: The metadata of the root.
        display: Where progress is shown.
        supervision: How stages are looked after; None for no retries, limits and alarms.
    """

    def __init__(self, root: Root, *, store: MetadataStore, display: Display, supervision: Supervision | None = None):
        self._root = root
        self._store = store
        self._display = display
        self._supervision = supervision or Supervision()
        self._stage_runner = StageRunner(root, store=store, display=display, supervision=self._supervision)

    def run(
        self,
        pipeline: Pipeline,
        *,
        preset: str = "",
        force: Sequence[str] = (),
        from_stage: str | None = None,
        until_stage: str | None = None,
        only: Sequence[str] = (),
    ) -> Run:
        """Runs the stages that changed. Call it inside `root.lock()` and `interrupts.as_exceptions()`.

        Args:
            pipeline: The pipeline.
            preset: Name of the preset, which is recorded with the run.
            force: Stages that run even if nothing changed.
            from_stage: This stage and all that depend on it run. The last outputs of the others are reused unchecked,
                except for gates.
            until_stage: Only this stage and those it depends on run.
            only: Only these stages run, if something changed. The last outputs of the stages that they read from are
                reused unchecked, except for gates.

        Raises:
            UserError: A stage raised it, its gate is closed, or the flags contradict each other.
            Interrupted: A signal stopped the run. The stage that was running is recorded as canceled.
        """
        selected = selection.select(pipeline, force=force, from_stage=from_stage, until_stage=until_stage, only=only)
        selection.check_components(pipeline, selected)

        listings.forget()  # What is published may have been altered since the last run of this process.
        self._cancel_killed_executions()
        self._root.clear_staging()
        run = Run(name=_new_name(), stages=tuple(pipeline.stages), preset=preset)
        self._store.start_run(run)
        overview = Overview(self._root, store=self._store, pipeline=pipeline, run=run)
        overview.begin()
        published: dict[str, dict[str, Artifact]] = {}
        try:
            self._run_stages(pipeline, run=run, selected=selected, overview=overview, published=published)
        except BaseException:
            overview.write("ended early")
            if hint := selection.hint_to_continue(pipeline, selected, finished=published):
                self._display.say(hint)
            raise
        overview.write("finished")
        return run

    def _run_stages(
        self,
        pipeline: Pipeline,
        *,
        run: Run,
        selected: Selection,
        overview: Overview,
        published: dict[str, dict[str, Artifact]],
    ) -> None:
        """Goes through the stages. What each has published is put into `published`, by stage and output channel."""
        for node in pipeline.nodes:
            if node.name not in selected.stages:
                continue
            inputs = preparation.inputs_of(node, published=published, store=self._store)
            if node.name in selected.frozen:
                execution = self._take_last_outputs(node, run=run, inputs=inputs, selected=selected)
            else:
                execution = self._run_or_reuse(node, run=run, inputs=inputs, selected=selected, overview=overview)
            published[node.name] = execution.outputs
            preparation.check_inputs(pipeline, selected=selected, published=published, newest=node.name)

    def _run_or_reuse(
        self, node: Node, *, run: Run, inputs: Mapping[str, Artifact], selected: Selection, overview: Overview
    ) -> Execution:
        """Runs a stage unless an earlier execution with the same cache key can be reused."""
        forced_by = selected.forced_by.get(node.name, "")
        prepared = preparation.prepare(node, inputs=inputs, store=self._store, is_forced=bool(forced_by))
        self._check_gates(node, key=prepared.key, run=run, inputs=inputs, selected=selected)
        decision = prepared.decide(forced_by=forced_by)
        if decision.reuse is None:
            execution = self._run_supervised(
                node, prepared, why=decision.why, run=run, inputs=inputs, overview=overview
            )
            overview.write()
            return execution
        node.component.check_reused(outputs=decision.reuse.folders, figures=decision.reuse.figures)
        recorded = {**inputs, **prepared.read_by_path}
        return self._record_reuse(decision.reuse, why=decision.why, key=prepared.key, run=run, inputs=recorded)

    def _run_supervised(
        self,
        node: Node,
        prepared: Preparation,
        *,
        why: str,
        run: Run,
        inputs: Mapping[str, Artifact],
        overview: Overview,
    ) -> Execution:
        """Runs a stage within its time limit, and again after errors that may pass."""

        def attempt(why_again: str) -> Execution:
            execution = Execution(cache_key=prepared.key, code=prepared.code, why=why_again or why)
            self._stage_runner.run(
                node,
                execution,
                run=run,
                inputs=inputs,
                read_by_path=prepared.read_by_path,
                extended=prepared.extended,
                on_start=overview.write,
                on_stall=overview.alarm,
            )
            return execution

        known = expected.of(prepared)
        if known is not None and known.seconds >= estimates.WORTH_SAYING_S:
            hourly_cost = self._supervision.hourly_costs.get(node.name)
            self._display.say(f"{node.name}: {known.with_cost(hourly_cost)}")
        with time_limits.limited(node.name, minutes=self._supervision.minutes.get(node.name)):
            return retries.run(attempt, stage=node.name, retries=self._supervision.retries, say=self._display.say)

    def _take_last_outputs(
        self, node: Node, *, run: Run, inputs: Mapping[str, Artifact], selected: Selection
    ) -> Execution:
        """Reuses the last finished execution of a stage, whatever has changed since. Its gates are checked, though."""
        last = preparation.last_outputs(node, store=self._store, selected=selected)
        self._check_gates(node, key=last.cache_key, run=run, inputs=inputs, selected=selected)
        why = preparation.reused_unchecked(selected)
        return self._record_reuse(last, why=why, key=last.cache_key, run=run, inputs=inputs)

    def _check_gates(
        self, node: Node, *, key: CacheKey, run: Run, inputs: Mapping[str, Artifact], selected: Selection
    ) -> None:
        """Records that a stage was refused if one of its gates is closed or damaged, and raises the error."""
        gates = altered_inputs.of(node, inputs, channels=node.component.gates)
        try:
            with altered_inputs.explained(gates, say=self._display.say):
                preparation.check_gates(node, inputs=inputs, selected=selected)
        except UserError as error:
            refused = Execution(cache_key=key, state=State.FAILED, why=REFUSED, summary=str(error))
            self._stage_runner.put_new(refused, run=run, inputs=inputs)
            raise

    def _record_reuse(
        self, reused: Execution, *, why: str, key: CacheKey, run: Run, inputs: Mapping[str, Artifact]
    ) -> Execution:
        """Records an execution of this run that reuses the outputs of an earlier one."""
        execution = Execution(
            cache_key=key,
            code=reused.code,
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
        for execution in self._store.executions(states=[State.RUNNING]):
            logging.info("execution %d, of %s, was killed: cleaned up", execution.id, execution.stage)
            execution.state = State.CANCELED
            execution.summary = "killed"
            self._stage_runner.discard_outputs(execution)
            self._store.put(execution)


def _new_name() -> str:
    return f"{time.strftime('%Y%m%d-%H%M%S')}-{secrets.token_hex(2)}"
