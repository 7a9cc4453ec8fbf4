"""Works out what a run would do, without doing it. It reads the metadata and published folders, and writes nothing."""

import dataclasses
from collections.abc import Collection, Mapping, Sequence
from typing import Literal

from components.errors import UserError
from pipeline.metadata.executions import Artifact, Execution, State
from pipeline.metadata.store import MetadataStore
from pipeline.runner import decide, expected, preparation, selection
from pipeline.runner.expected import Expected
from pipeline.runner.graph import Node, Pipeline
from pipeline.runner.preparation import Preparation

Outcome = Literal["runs", "skipped", "depends", "refused", "not run"]


@dataclasses.dataclass(frozen=True, kw_only=True)
class PlannedStage:
    """What a run would do with one stage.

    Attributes:
        stage: Name of the stage.
        outcome: "depends" if what earlier stages will write decides it.
        why: The reason.
        outputs: Output channel -> artifact, if the stage is skipped.
        expected: How long it will take if it runs, as far as that is known.
    """

    stage: str
    outcome: Outcome
    why: str = ""
    outputs: Mapping[str, Artifact] | None = None
    expected: Expected | None = None


@dataclasses.dataclass(frozen=True, kw_only=True)
class Plan:
    """What a run would do.

    Attributes:
        stages: All stages, in order.
        refusal: The error with which the run would end, if that can be told already.
    """

    stages: tuple[PlannedStage, ...]
    refusal: UserError | None = None


def make(
    pipeline: Pipeline,
    *,
    store: MetadataStore,
    force: Sequence[str] = (),
    from_stage: str | None = None,
    until_stage: str | None = None,
    only: Sequence[str] = (),
) -> Plan:
    """Returns the plan of a run; see `LocalRunner.run` for the arguments.

    Raises:
        UserError: The run would be refused before its first stage.
    """
    selected = selection.select(pipeline, force=force, from_stage=from_stage, until_stage=until_stage, only=only)
    selection.check_components(pipeline, selected)
    planned: list[PlannedStage] = []
    published: dict[str, Mapping[str, Artifact]] = {}
    refusal: UserError | None = None
    for node in pipeline.nodes:
        if node.name not in selected.stages:
            planned.append(PlannedStage(stage=node.name, outcome="not run", why=f"excluded by {selected.excluded_by}"))
            continue
        if refusal is not None:
            planned.append(PlannedStage(stage=node.name, outcome="not run", why="the run ends before it"))
            continue
        try:
            stage = _plan_stage(node, selected=selected, published=published, store=store)
        except UserError as error:
            refusal = error
            stage = PlannedStage(stage=node.name, outcome="refused", why=str(error))
        planned.append(stage)
        if stage.outputs is None:
            continue
        published[node.name] = stage.outputs
        try:
            preparation.check_inputs(pipeline, selected=selected, published=published, newest=node.name)
        except UserError as error:
            refusal = error
    return Plan(stages=tuple(planned), refusal=refusal)


def _plan_stage(
    node: Node,
    *,
    selected: selection.Selection,
    published: Mapping[str, Mapping[str, Artifact]],
    store: MetadataStore,
) -> PlannedStage:
    """Plans one stage.

    Args:
        node: The stage.
        selected: The stages of the run.
        published: Stage -> outputs, for the stages before it that are skipped.
        store: The metadata.

    Raises:
        UserError: The stage would be refused.
    """
    inputs = preparation.inputs_of(node, published=published, store=store)
    preparation.check_gates(node, inputs=inputs, selected=selected)
    if node.name in selected.frozen:
        last = preparation.last_outputs(node, store=store, selected=selected)
        return _skipped(node, last, why=preparation.reused_unchecked(selected))
    forced_by = selected.forced_by.get(node.name, "")
    prepared = preparation.prepare(node, inputs=inputs, store=store, is_forced=bool(forced_by))
    with_all_inputs = prepared

    # Input channel -> the stage that will write what it carries.
    unknown = {name: channel.stage for name, channel in node.inputs.items() if channel.stage not in published}
    gates = {name: stage for name, stage in unknown.items() if name in node.component.gates}
    content = {name: stage for name, stage in unknown.items() if name not in gates}
    if content and not forced_by:
        earlier = {name for name, present in node.component.earlier_inputs.items() if present in content}
        prepared = _without(prepared, inputs={*content, *earlier})
        if _has_run(prepared):
            why = f"runs if what {_names(content)} will write differs from what it read before"
            return PlannedStage(stage=node.name, outcome="depends", why=why, expected=expected.of(with_all_inputs))
    decision = prepared.decide(forced_by=forced_by)
    if decision.reuse is None:
        why = _why_it_runs(decision, prepared)
        return PlannedStage(stage=node.name, outcome="runs", why=why, expected=expected.of(with_all_inputs))
    node.component.check_reused(outputs=decision.reuse.folders, figures=decision.reuse.figures)
    why = f"{decision.why}; refused if {_names(gates)} closes its gate" if gates else decision.why
    return _skipped(node, decision.reuse, why=why)


def _has_run(prepared: Preparation) -> bool:
    """Returns whether a stage has finished with this cache key, from its start or as what goes on from another one.

    Which of the two is told by its inputs, and these are not known yet.
    """
    key = prepared.key.extending("")
    return any(execution.cache_key.extending("") == key for execution in prepared.history.finished_itself())


def _names(sources: Mapping[str, str]) -> str:
    return " and ".join(dict.fromkeys(sources.values()))


def _skipped(node: Node, execution: Execution, *, why: str) -> PlannedStage:
    return PlannedStage(stage=node.name, outcome="skipped", why=why, outputs=execution.outputs)


def _why_it_runs(decision: decide.Decision, prepared: Preparation) -> str:
    last = prepared.history.last()
    if last is not None and last.state == State.RUNNING:
        return f"{decision.why}, or running now"
    return decision.why


def _without(prepared: Preparation, *, inputs: Collection[str]) -> Preparation:
    """Returns a preparation whose cache keys, past ones included, leave out some inputs."""
    return dataclasses.replace(prepared, key=prepared.key.without(inputs), history=prepared.history.without(inputs))
