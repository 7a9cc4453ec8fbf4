"""Runs a pipeline on this machine, a stage at a time, skipping what has not changed.

A stage writes into a staging folder, which is renamed into place when the stage has ended well; then its execution is
recorded as complete. Whatever stops a run in between (an error, Ctrl-C, SIGTERM, kill -9), nothing half-written is
ever published, and the stage's work folder stays for the next run to go on from.
"""

import os
import secrets
import time
from collections.abc import Mapping, Sequence

from absl import logging

from components.base import StageContext
from components.errors import UserError
from pipeline import digests, root
from pipeline.console.progress import Display, duration
from pipeline.metadata.store import Artifact, Execution, MetadataStore, Recipe, Run, State
from pipeline.runner import decide, interrupts
from pipeline.runner.graph import Node, Pipeline


class LocalRunner:
    """Runs pipelines under one root.

    Args:
        root: Everything that is written goes below it.
        store: Its metadata.
        display: Where progress is shown.
    """

    def __init__(self, root: root.Root, *, store: MetadataStore, display: Display):
        self._root, self._store, self._display = root, store, display

    def run(
        self,
        pipeline: Pipeline,
        *,
        preset: str = "",
        force: Sequence[str] = (),
        from_stage: str | None = None,
        until_stage: str | None = None,
    ) -> Run:
        """Runs what has to be run. Call it while holding `root.lock()` and inside `interrupts.raised()`.

        Args:
            pipeline: To run.
            preset: Recorded with the run.
            force: Stages to run even if nothing changed.
            from_stage: Run this stage and all that depend on it, with the other stages' last outputs as they are.
            until_stage: Run this stage and what it needs, and no more.

        Raises:
            UserError: from a stage, or the stages named do not fit together.
            Interrupted: a signal came; the stage it met is recorded as canceled.
        """
        force = [pipeline.find(name, flag="--force") for name in force]
        from_stage = from_stage and pipeline.find(from_stage, flag="--from")
        until_stage = until_stage and pipeline.find(until_stage, flag="--until")
        wanted = pipeline.upstream(until_stage) if until_stage else set(pipeline.stages)
        for name in (*force, *filter(None, [from_stage])):
            if name not in wanted:
                raise UserError(f"--until {until_stage} leaves out {name}, which another flag asks for.")
        forced_by = dict.fromkeys(pipeline.downstream(from_stage), f"--from {from_stage}") if from_stage else {}
        forced_by |= dict.fromkeys(force, "--force")
        frozen = wanted - set(forced_by) if from_stage else set()
        for node in pipeline.nodes:
            if node.name in wanted - frozen:
                node.component.check()

        self._sweep()
        name = f"{time.strftime('%Y%m%d-%H%M%S')}-{secrets.token_hex(2)}"
        run = Run(name=name, stages=tuple(pipeline.stages), preset=preset)
        self._store.start_run(run)
        published: dict[str, dict[str, Artifact]] = {}
        for node in pipeline.nodes:
            if node.name not in wanted:
                continue
            inputs = {key: published[channel.stage][channel.output] for key, channel in node.inputs.items()}
            if node.name in frozen:
                decision = self._last_outputs(node.name)
                execution = self._skip(decision, recipe=decision.reuse.recipe, run=run, inputs=inputs)
            else:
                execution = self._stage(node, run=run, inputs=inputs, forced_by=forced_by.get(node.name, ""))
            published[node.name] = execution.outputs
        return run

    def _stage(self, node: Node, *, run: Run, inputs: Mapping[str, Artifact], forced_by: str) -> Execution:
        component = node.component
        recipe = Recipe(
            stage=node.name,
            config=digests.config_values(component.config),
            code=digests.code_digests(component),
            inputs={key: artifact.fingerprint for key, artifact in inputs.items()},
            external=dict(component.external_digests()),
        )
        decision = decide.decide(recipe, history=self._store.executions(stage=node.name), forced_by=forced_by)
        if (reused := decision.reuse) is not None:
            component.check_reused(outputs=_folders(reused.outputs), figures=reused.figures)
            return self._skip(decision, recipe=recipe, run=run, inputs=inputs)
        execution = Execution(recipe=recipe, why=decision.why)
        self._execute(node, execution, run=run, inputs=inputs)
        return execution

    def _skip(
        self, decision: decide.Decision, *, recipe: Recipe, run: Run, inputs: Mapping[str, Artifact]
    ) -> Execution:
        """Records that an earlier execution stands for this one."""
        reused = decision.reuse
        execution = Execution(
            recipe=recipe,
            state=State.CACHED,
            why=decision.why,
            summary=reused.summary,
            figures=reused.figures,
            outputs=reused.outputs,
        )
        self._store.put(execution, run=run, inputs=inputs)
        self._display.say(f"{recipe.stage}: skipped, {decision.why}")
        return execution

    def _last_outputs(self, stage: str) -> decide.Decision:
        last = self._last_finished(stage)
        if last is None:
            raise UserError(
                f"--from needs the outputs of {stage}, which has not finished here yet: run without --from."
            )
        return decide.Decision(reuse=last, why="taken as it is, ahead of --from")

    def _last_finished(self, stage: str) -> Execution | None:
        """The latest execution whose outputs are all there, if any."""
        for execution in reversed(self._store.executions(stage=stage)):
            if execution.state.finished and all(decide.is_intact(a) for a in execution.outputs.values()):
                return execution
        return None

    def _previous(self, stage: str) -> Mapping[str, root.epath.Path]:
        last = self._last_finished(stage)
        return _folders(last.outputs) if last else {}

    def _execute(self, node: Node, execution: Execution, *, run: Run, inputs: Mapping[str, Artifact]) -> None:
        stage, key = node.name, execution.recipe.key
        self._display.say(f"{stage}: runs, {execution.why}")
        work, events = self._root.work(stage=stage, key=key), self._root.events(stage=stage, key=key)
        if not work.exists():
            root.remove(events)  # Not a run that goes on: its curves would lie over older ones.
        started = time.monotonic()
        previous = self._previous(stage)
        earlier_work_dirs = _siblings(work)
        self._store.put(execution, run=run, inputs=inputs)
        staging = self._root.staging(execution.id)
        root.remove(staging)
        outputs = {channel: staging / channel for channel in node.component.outputs}
        try:
            for folder in (*outputs.values(), work, events):
                folder.mkdir(parents=True, exist_ok=True)
            with self._display.stage(stage) as progress:
                result = node.component.execute(
                    inputs=_folders(inputs),
                    outputs=outputs,
                    context=StageContext(
                        work_dir=work,
                        tensorboard_dir=events,
                        progress=progress,
                        previous=previous,
                        earlier_work_dirs=earlier_work_dirs,
                    ),
                )
            digests = {channel: _digests(folder) for channel, folder in outputs.items()}
            with interrupts.held():
                execution.outputs = {
                    channel: self._publish(node, channel, folder, execution=execution, digests=digests[channel])
                    for channel, folder in outputs.items()
                }
                execution.state = State.COMPLETE
                execution.summary, execution.figures = result.summary, dict(result.figures)
                execution.seconds = time.monotonic() - started
                self._store.put(execution, run=run)
                root.remove(staging)
                root.remove(work)
        except BaseException as error:
            if execution.state != State.COMPLETE:
                with interrupts.held():
                    self._give_up(execution, error, run=run, seconds=time.monotonic() - started)
            raise
        self._display.say(f"{stage}: done in {duration(execution.seconds)}, {execution.summary}")

    def _publish(
        self, node: Node, channel: str, folder: root.epath.Path, *, execution: Execution, digests: dict[str, str]
    ) -> Artifact:
        target = self._root.published(stage=node.name, output=channel, execution_id=execution.id)
        root.remove(target)  # Of a store that was deleted, whose ids start anew.
        target.parent.mkdir(parents=True, exist_ok=True)
        folder.rename(target)
        return Artifact(type=node.component.outputs[channel].value, uri=os.fspath(target), **digests)

    def _give_up(self, execution: Execution, error: BaseException, *, run: Run, seconds: float) -> None:
        stopped = isinstance(error, KeyboardInterrupt)
        execution.state = State.CANCELED if stopped else State.FAILED
        execution.summary = "stopped" if stopped else _one_line(error)
        execution.seconds = seconds
        self._withdraw(execution)
        self._store.put(execution, run=run)

    def _withdraw(self, execution: Execution) -> None:
        """Removes whatever an execution that did not end well has written outside its work folder."""
        execution.outputs = {}
        root.remove(self._root.staging(execution.id))
        folder = self._root.path / "artifacts" / execution.stage
        for channel in folder.iterdir() if folder.exists() else ():
            root.remove(channel / str(execution.id))

    def _sweep(self) -> None:
        """Records what a killed run left running as canceled, and removes its traces."""
        for run in self._store.runs():
            for execution in self._store.executions(run=run):
                if execution.state == State.RUNNING:
                    logging.info("%s was killed in run %s: cleaned up", execution.stage, run.name)
                    execution.state, execution.summary = State.CANCELED, "killed"
                    self._withdraw(execution)
                    self._store.put(execution, run=run)


def _siblings(folder: root.epath.Path) -> list[root.epath.Path]:
    if not folder.parent.exists():
        return []
    return [path for path in folder.parent.iterdir() if path != folder and path.is_dir()]


def _folders(artifacts: Mapping[str, Artifact]) -> dict[str, root.epath.Path]:
    return {channel: root.epath.Path(artifact.uri) for channel, artifact in artifacts.items()}


def _digests(folder: root.epath.Path) -> dict[str, str]:
    return {"fingerprint": digests.content_digest(folder), "listing": digests.listing_digest(folder)}


def _one_line(error: BaseException) -> str:
    if isinstance(error, UserError):
        return str(error)
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return f"{type(error).__name__}: {lines[0][:200]}" if lines else type(error).__name__
