"""The graph of stages: components joined by typed channels."""

import dataclasses
import difflib
from collections.abc import Iterable, Mapping

from components.base import ArtifactType, Component
from components.errors import UserError


@dataclasses.dataclass(frozen=True, kw_only=True)
class Channel:
    """One output of one stage."""

    stage: str
    output: str
    type: ArtifactType


@dataclasses.dataclass(frozen=True, kw_only=True)
class Node:
    """A component and the channels it reads."""

    component: Component
    inputs: Mapping[str, Channel]

    @property
    def name(self) -> str:
        """The stage's name."""
        return self.component.name


class Pipeline:
    """Stages in an order in which they can run: a stage can only read from those added before it."""

    def __init__(self) -> None:
        self.nodes: list[Node] = []

    def add(self, component: Component, **inputs: Channel) -> dict[str, Channel]:
        """Adds a stage that reads `inputs` (channel name -> another stage's output) and returns its outputs.

        Raises:
            ValueError: a channel is unknown, missing or of another type than the component declares.
        """
        name = component.name
        if name in self.stages:
            raise ValueError(f"{name} is in the pipeline twice.")
        if unknown := set(inputs) - set(component.inputs):
            raise ValueError(f"{name} has no input {', '.join(sorted(unknown))}.")
        if missing := set(component.inputs) - set(inputs) - component.optional_inputs:
            raise ValueError(f"{name} needs its input {', '.join(sorted(missing))}.")
        for key, channel in inputs.items():
            if channel.stage not in self.stages:
                raise ValueError(f"{name} reads from {channel.stage}, which is not in the pipeline.")
            if channel.type != component.inputs[key]:
                wanted = component.inputs[key].value
                raise ValueError(
                    f"{name}.{key} takes {wanted}, {channel.stage}.{channel.output} is {channel.type.value}."
                )
        self.nodes.append(Node(component=component, inputs=inputs))
        return {key: Channel(stage=name, output=key, type=type_) for key, type_ in component.outputs.items()}

    @property
    def stages(self) -> list[str]:
        """The stages' names in the order in which they run."""
        return [node.name for node in self.nodes]

    def find(self, name: str, *, flag: str) -> str:
        """The stage a user means by `name`: "Trainer", "trainer" and "audio_example_gen" all do.

        Raises:
            UserError: there is none; the sentence names `flag`.
        """
        known = {_folded(stage): stage for stage in self.stages}
        if stage := known.get(_folded(name)):
            return stage
        close = difflib.get_close_matches(_folded(name), known, n=1)
        hint = f"did you mean {known[close[0]]}?" if close else f"the stages are {', '.join(self.stages)}."
        raise UserError(f"{flag} {name}: there is no such stage in this pipeline; {hint}")

    def upstream(self, name: str) -> set[str]:
        """The stages that `name` needs, itself included."""
        return self._closure(name, {node.name: {c.stage for c in node.inputs.values()} for node in self.nodes})

    def downstream(self, name: str) -> set[str]:
        """The stages that need `name`, itself included."""
        readers: dict[str, set[str]] = {node.name: set() for node in self.nodes}
        for node in self.nodes:
            for channel in node.inputs.values():
                readers[channel.stage].add(node.name)
        return self._closure(name, readers)

    @staticmethod
    def _closure(start: str, edges: Mapping[str, Iterable[str]]) -> set[str]:
        seen: set[str] = set()
        waiting = [start]
        while waiting:
            stage = waiting.pop()
            if stage not in seen:
                seen.add(stage)
                waiting.extend(edges[stage])
        return seen


def _folded(name: str) -> str:
    return name.replace("_", "").replace("-", "").lower()
