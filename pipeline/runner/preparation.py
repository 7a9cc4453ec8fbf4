"""Prepares a stage for a run or a plan: what it reads, what decides its outputs, and whether it has to run."""

import dataclasses
import time
from collections.abc import Mapping

from beam_jobs import storage
from components.base import Component
from components.errors import UserError
from pipeline.metadata.executions import Artifact, CacheKey, Execution
from pipeline.metadata.history import History
from pipeline.metadata.store import MetadataStore
from pipeline.runner import cache_key, code, decide, extensions
from pipeline.runner.graph import Node, Pipeline
from pipeline.runner.selection import Selection


@dataclasses.dataclass(frozen=True, kw_only=True)
class Preparation:
    """What decides about a stage.

    Attributes:
        component: The stage.
        key: Its cache key.
        code: Path of a module -> digest of its code.
        history: Its earlier executions.
        extended: The finished execution that it extends if it runs, see `Component.extends`, or None.
        read_by_path: What it reads of this root because its config names the path, see `Component.read_paths`, by the
            channel that the metadata records it under.
    """

    component: Component
    key: CacheKey
    code: Mapping[str, str]
    history: History
    extended: Execution | None = None
    read_by_path: Mapping[str, Artifact] = dataclasses.field(default_factory=dict)

    def decide(self, *, forced_by: str) -> decide.Decision:
        """Decides whether the stage runs; see `decide.decide`."""
        decision = decide.decide(
            self.key,
            code=self.code,
            history=self.history,
            reports=self.component.reports,
            forced_by=forced_by,
        )
        if decision.reuse is None:
            if self.extended is None:
                return decision
            began = time.strftime("%Y-%m-%d %H:%M", time.localtime(self.extended.started_ms / 1000))
            return dataclasses.replace(decision, why=f"{decision.why}; goes on from the end of that of {began}")
        left = self.component.unfinished(decision.reuse.figures)
        return decide.Decision(reuse=None, why=left) if left else decision


def prepare(
    node: Node, *, inputs: Mapping[str, Artifact], store: MetadataStore, is_forced: bool = False
) -> Preparation:
    """Digests what decides the outputs of a stage.

    Args:
        node: The stage.
        inputs: What it reads, by input channel.
        store: Has its earlier executions.
        is_forced: Whether a flag asks for it to run, which then extends no earlier execution.
    """
    key = cache_key.build(node.component, inputs=inputs)
    history = History(store, node.name)
    extended = None if is_forced else extensions.find(node.component, key, history=history)
    return Preparation(
        component=node.component,
        key=key if extended is None else key.extending(extended.cache_key.digest),
        code=code.digests(node.component),
        history=history,
        extended=extended,
        read_by_path=_read_by_path(node.component, store=store),
    )


def _read_by_path(component: Component, *, store: MetadataStore) -> dict[str, Artifact]:
    paths = {name: storage.canonical(path) for name, path in component.read_paths().items()}
    artifacts = {storage.canonical(artifact.uri): artifact for artifact in store.artifacts()} if paths else {}
    found = {}
    for name, path in paths.items():
        folder = next((folder for folder in artifacts if f"{path}/".startswith(f"{folder}/")), None)
        if folder is not None:
            found[f"external_{name}"] = artifacts[folder]
    return found


def inputs_of(
    node: Node, *, published: Mapping[str, Mapping[str, Artifact]], store: MetadataStore
) -> dict[str, Artifact]:
    """Returns what a stage reads, by input channel.

    Args:
        node: The stage.
        published: Stage -> output channel -> artifact. What comes from other stages is left out.
        store: Has the artifacts for the component's `earlier_inputs`.
    """
    inputs = {
        name: published[channel.stage][channel.output]
        for name, channel in node.inputs.items()
        if channel.stage in published
    }
    for name, present in node.component.earlier_inputs.items():
        if present in inputs:
            channel = node.inputs[present]
            history = History(store, channel.stage)
            earlier = decide.last_other(history, output=channel.output, than=inputs[present])
            if earlier is not None:
                inputs[name] = earlier
    return inputs


def check_inputs(
    pipeline: Pipeline, *, selected: Selection, published: Mapping[str, Mapping[str, Artifact]], newest: str
) -> None:
    """Lets the stages check their `checked_inputs` if the last of these has just been published.

    Args:
        pipeline: The pipeline.
        selected: The stages of the run. Those whose last outputs are taken check nothing.
        published: Stage -> output channel -> artifact.
        newest: The stage that has just published.

    Raises:
        UserError: A later stage would fail.
    """
    for node in pipeline.nodes:
        channels = {name: channel for name, channel in node.inputs.items() if name in node.component.checked_inputs}
        sources = {channel.stage for channel in channels.values()}
        may_run = node.name in selected.stages and node.name not in selected.frozen
        if may_run and newest in sources and sources <= published.keys():
            folders = {name: published[channel.stage][channel.output].folder for name, channel in channels.items()}
            node.component.check_inputs(folders)


def check_gates(node: Node, *, inputs: Mapping[str, Artifact], selected: Selection) -> None:
    """Checks the gates of a stage that are among its inputs.

    Args:
        node: The stage.
        inputs: What it reads.
        selected: The stages of the run.

    Raises:
        UserError: A gate is closed.
    """
    for channel in node.component.gates & set(inputs):
        source = node.inputs[channel].stage
        try:
            node.component.check_gate(channel, inputs[channel].folder)
        except UserError as error:
            if source not in selected.frozen:
                raise
            # The message may ask for a change that the flag ignores.
            way_out = f"leave out {selected.frozen_by}, which takes {source}'s last outputs"
            raise UserError(f"{str(error).rstrip('.')}; {way_out}.") from error


def last_outputs(node: Node, *, store: MetadataStore, selected: Selection) -> Execution:
    """Returns the last finished execution of a stage whose last outputs are taken.

    If these are altered, an earlier one with the same cache key will do. One with another config or other inputs would
    take the place of what the user has seen last.

    Raises:
        UserError: There is none.
    """
    history = History(store, node.name)
    newest, last = history.last_finished(), None
    if newest is not None:
        key = newest.cache_key.digest
        last = decide.last_intact(history, reports=node.component.reports, cache_key=key)
    if last is None:
        what = "which are missing or altered" if newest else "which has not finished here yet"
        flag = selected.frozen_by
        raise UserError(
            f"{flag} needs the outputs of {node.name}, {what}: run without {flag}, or first with --until {node.name}."
        )
    return last


def reused_unchecked(selected: Selection) -> str:
    """Returns why a stage whose last outputs are taken is skipped."""
    return f"reused unchecked, because {_REASONS[selected.frozen_by]}"


_REASONS = {"--from": "it comes before --from", "--only": "--only does not name it"}
