"""The graph of executions and artifacts: what an artifact was made of, and what was made of it."""

import dataclasses
from collections.abc import Iterable, Mapping

from pipeline.metadata.executions import Artifact, Execution, State
from pipeline.metadata.store import MetadataStore


@dataclasses.dataclass(frozen=True, kw_only=True)
class Step:
    """An execution that wrote artifacts.

    Attributes:
        execution: The execution.
        inputs: Input channel -> the artifact that it read, gates included.
    """

    execution: Execution
    inputs: Mapping[str, Artifact]


class Lineage:
    """Some of the executions that wrote artifacts under a root.

    Args:
        steps: The executions.

    Attributes:
        steps: The same by execution id, oldest first.
    """

    def __init__(self, steps: Iterable[Step] = ()):
        by_id = {step.execution.id: step for step in steps}
        self.steps: dict[int, Step] = {number: by_id[number] for number in sorted(by_id)}
        self._writers: dict[int, Step] = {}
        self._readers: dict[int, list[Step]] = {}
        for step in self.steps.values():
            for artifact in step.execution.outputs.values():
                self._writers.setdefault(artifact.id, step)
            for artifact_id in {artifact.id for artifact in step.inputs.values()}:
                self._readers.setdefault(artifact_id, []).append(step)

    def writer(self, artifact: Artifact) -> Step | None:
        """Returns the step that wrote an artifact, or None if it is not in this graph."""
        return self._writers.get(artifact.id)

    def readers(self, artifact: Artifact) -> list[Step]:
        """Returns the steps that read an artifact, oldest first."""
        return self._readers.get(artifact.id, [])

    def artifacts(self) -> list[Artifact]:
        """Returns all artifacts that the steps wrote or read, oldest first."""
        steps = self.steps.values()
        found = {artifact.id: artifact for step in steps for artifact in step.inputs.values()}
        found |= {artifact.id: artifact for step in steps for artifact in step.execution.outputs.values()}
        return [found[number] for number in sorted(found)]


def made_from(store: MetadataStore, artifacts: Iterable[Artifact]) -> Lineage:
    """Returns the steps that wrote artifacts, and what these were made from, back to the first."""
    steps: dict[int, Step] = {}
    waiting = list(artifacts)
    while waiting:
        new = set(store.writers(waiting).values()) - steps.keys()
        found = _steps(store, store.executions(ids=new))
        steps |= {step.execution.id: step for step in found}
        waiting = [artifact for step in found for artifact in step.inputs.values()]
    return Lineage(steps.values())


def made_of(store: MetadataStore, artifacts: Iterable[Artifact]) -> Lineage:
    """Returns the steps that read artifacts, those that read what these wrote, and so on."""
    steps: dict[int, Step] = {}
    waiting = list(artifacts)
    while waiting:
        readers = {use.execution_id for use in store.uses_of(waiting) if not use.is_output}
        # A stage that reuses its outputs makes nothing.
        found = _steps(store, store.executions(ids=readers - steps.keys(), states=[State.COMPLETE]))
        steps |= {step.execution.id: step for step in found}
        waiting = [artifact for step in found for artifact in step.execution.outputs.values()]
    return Lineage(steps.values())


def of_run(executions: Iterable[Execution], store: MetadataStore) -> Lineage:
    """Returns the executions of a run as steps, those that reused outputs or did not finish included."""
    return Lineage(_steps(store, list(executions)))


def short_name(artifact: Artifact) -> str:
    """Returns the end of the path of an artifact, e.g. "Trainer/model/5"."""
    parts = artifact.uri.split("/")
    return "/".join(parts[-3:]) if parts[-4:-3] == ["artifacts"] else artifact.uri


def _steps(store: MetadataStore, executions: list[Execution]) -> list[Step]:
    inputs: dict[int, dict[str, Artifact]] = {execution.id: {} for execution in executions}
    for use in store.uses(executions):
        if not use.is_output:
            inputs[use.execution_id][use.channel] = use.artifact
    return [Step(execution=execution, inputs=inputs[execution.id]) for execution in executions]
