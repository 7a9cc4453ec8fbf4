"""The graph of stages: components connected by typed channels."""

import dataclasses
import difflib
import re
from collections.abc import Iterable, Mapping, Sequence

from components.base import ArtifactType, Component
from components.errors import UserError


def section(stage: str) -> str:
    """Returns the name of a stage's section in a config, e.g. "audio_example_gen"."""
    return re.sub(r"\B(?=[A-Z])", "_", stage).lower()


@dataclasses.dataclass(frozen=True, kw_only=True)
class Channel:
    """An output of a stage.

    Attributes:
        stage: Name of the stage.
        output: Name of the output.
        type: What it holds.
        reports: See `components.base.Component`.
    """

    stage: str
    output: str
    type: ArtifactType
    reports: frozenset[str] = frozenset()


@dataclasses.dataclass(frozen=True, kw_only=True)
class Node:
    """A component and the channels that it reads, by input name."""

    component: Component
    inputs: Mapping[str, Channel]

    @property
    def name(self) -> str:
        return self.component.name


class Pipeline:
    """Stages in the order in which they run. A stage can only read from stages that were added before it."""

    def __init__(self) -> None:
        self.nodes: list[Node] = []

    @property
    def stages(self) -> list[str]:
        return [node.name for node in self.nodes]

    def add(self, component: Component, **inputs: Channel) -> dict[str, Channel]:
        """Adds a stage.

        Args:
            component: The component that the stage runs.
            **inputs: Name of an input of the component -> an output of another stage.

        Returns:
            Name of an output of the component -> its channel.

        Raises:
            ValueError: A channel is unknown, missing, or of another type than the component declares.
        """
        self._check(component, inputs)
        self.nodes.append(Node(component=component, inputs=inputs))
        return {
            output: Channel(stage=component.name, output=output, type=artifact_type, reports=component.reports)
            for output, artifact_type in component.outputs.items()
        }

    def find(self, name: str, *, flag: str) -> str:
        """Returns the stage that a user means, e.g. AudioExampleGen for "audio_example_gen" or "audioexamplegen".

        Raises:
            UserError: There is no such stage. The message names `flag`.
        """
        return stage_named(name, self.stages, flag=flag, place=" in this pipeline")

    def upstream(self, name: str) -> set[str]:
        """Returns a stage and all stages that it depends on."""
        sources = {node.name: {channel.stage for channel in node.inputs.values()} for node in self.nodes}
        return _reachable(name, sources)

    def downstream(self, name: str) -> set[str]:
        """Returns a stage and all stages that depend on it."""
        readers: dict[str, set[str]] = {node.name: set() for node in self.nodes}
        for node in self.nodes:
            for channel in node.inputs.values():
                readers[channel.stage].add(node.name)
        return _reachable(name, readers)

    def _check(self, component: Component, inputs: Mapping[str, Channel]) -> None:
        name = component.name
        if name in self.stages:
            raise ValueError(f"{name} is in the pipeline twice.")
        unknown = set(inputs) - set(component.inputs)
        if unknown:
            raise ValueError(f"{name} has no input {', '.join(sorted(unknown))}.")
        missing = set(component.inputs) - set(inputs) - component.optional_inputs
        if missing:
            raise ValueError(f"{name} needs its input {', '.join(sorted(missing))}.")
        for key, channel in inputs.items():
            if channel.stage not in self.stages:
                raise ValueError(f"{name} reads from {channel.stage}, which is not in the pipeline.")
            if channel.type != component.inputs[key]:
                raise ValueError(
                    f"{name}.{key} takes {component.inputs[key].value}, "
                    f"{channel.stage}.{channel.output} is {channel.type.value}."
                )


def stage_named(name: str, stages: Sequence[str], *, flag: str, place: str = "") -> str:
    """Returns the one of some stages that a user means; see `Pipeline.find`."""
    known = {_normalized(stage): stage for stage in stages}
    stage = known.get(_normalized(name))
    if stage is not None:
        return stage
    close = difflib.get_close_matches(_normalized(name), known, n=1)
    hint = f"did you mean {known[close[0]]}?" if close else f"the stages are {', '.join(stages)}."
    raise UserError(f"{flag} {name}: there is no such stage{place}; {hint}")


def _reachable(start: str, edges: Mapping[str, Iterable[str]]) -> set[str]:
    """Returns all nodes that can be reached from `start`, including itself."""
    reached: set[str] = set()
    waiting = [start]
    while waiting:
        node = waiting.pop()
        if node not in reached:
            reached.add(node)
            waiting.extend(edges[node])
    return reached


def _normalized(name: str) -> str:
    return name.replace("_", "").replace("-", "").lower()
