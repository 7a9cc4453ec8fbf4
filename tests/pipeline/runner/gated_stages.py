"""Stages with a gate, and one that compares its input with an earlier one: Numbers -> Census -> Inspection -> Training.

Training also reads the numbers. Inspection is its gate.
"""

import json

import pydantic

from components.base import ArtifactType, Component, StageConfig, StageResult
from components.errors import UserError
from pipeline.runner import interrupts
from pipeline.runner.graph import Pipeline
from tests.pipeline.runner import stages


class Census(Component):
    """Counts the numbers."""

    inputs = {"examples": ArtifactType.EXAMPLES}
    outputs = {"statistics": ArtifactType.EXAMPLE_STATISTICS}

    def execute(self, *, inputs, outputs, context):
        count = len((inputs["examples"] / "numbers.txt").read_text().split())
        (outputs["statistics"] / "count").write_text(str(count))
        return StageResult(summary=f"{count} numbers")


class Inspection(Component):
    """Writes a remark, whether it is fatal, and the count of numbers before."""

    class Config(StageConfig):
        remark: str = pydantic.Field("", description="A remark.")
        fatal: bool = pydantic.Field(False, description="Whether the remark is fatal.")

    inputs = {"statistics": ArtifactType.EXAMPLE_STATISTICS, "last_statistics": ArtifactType.EXAMPLE_STATISTICS}
    optional_inputs = frozenset({"last_statistics"})
    earlier_inputs = {"last_statistics": "statistics"}
    outputs = {"anomalies": ArtifactType.EXAMPLE_ANOMALIES}

    def execute(self, *, inputs, outputs, context):
        last = (inputs["last_statistics"] / "count").read_text() if "last_statistics" in inputs else None
        report = {"remark": self.config.remark, "fatal": self.config.fatal, "last": last}
        (outputs["anomalies"] / "anomalies.json").write_text(json.dumps(report))
        return StageResult(summary=f"last {last}")


class Training(Component):
    """Takes two steps, and continues from its work folder.

    Class attributes:
        interrupted_after: Number of the step after which a signal arrives, or None.
    """

    inputs = {"examples": ArtifactType.EXAMPLES, "anomalies": ArtifactType.EXAMPLE_ANOMALIES}
    gates = frozenset({"anomalies"})
    outputs = {"model": ArtifactType.MODEL}
    interrupted_after = None

    def check_gate(self, channel, folder):
        report = json.loads((folder / "anomalies.json").read_text())
        if report["fatal"]:
            raise UserError(f"The numbers cannot be trained on: {report['remark']}; change the remark.")

    def execute(self, *, inputs, outputs, context):
        state = context.work_dir / "step"
        first = int(state.read_text()) if state.exists() else 0
        for step in range(first, 2):
            state.write_text(str(step + 1))
            if self.interrupted_after == step + 1:
                raise interrupts.Interrupted(2)
        (outputs["model"] / "model").write_text("trained")
        return StageResult(summary=f"from step {first}")


class Publication(Component):
    """Reads the model."""

    inputs = {"model": ArtifactType.MODEL}
    outputs = {"pushed": ArtifactType.PUSHED_MODEL}

    def execute(self, *, inputs, outputs, context):
        return StageResult(summary="published")


def build(*, numbers=None, inspection=None):
    pipeline = Pipeline()
    examples = pipeline.add(stages.Numbers(stages.Numbers.Config(**(numbers or {}))))["examples"]
    statistics = pipeline.add(Census(), examples=examples)["statistics"]
    anomalies = pipeline.add(Inspection(Inspection.Config(**(inspection or {}))), statistics=statistics)["anomalies"]
    model = pipeline.add(Training(), examples=examples, anomalies=anomalies)["model"]
    pipeline.add(Publication(), model=model)
    return pipeline
