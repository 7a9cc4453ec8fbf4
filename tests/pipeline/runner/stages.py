"""Small but real stages for pipelines in tests."""

import json
import pathlib
import time

import pydantic
from etils import epath

from components.base import ArtifactType, Component, StageConfig, StageResult
from components.errors import UserError
from pipeline.console.progress import Display
from pipeline.metadata.store import MetadataStore
from pipeline.root import Root
from pipeline.runner import interrupts
from pipeline.runner.graph import Pipeline
from pipeline.runner.local import LocalRunner


class Numbers(Component):
    """Writes the first `count` numbers, or those in a file outside the pipeline."""

    class Config(StageConfig):
        count: int = pydantic.Field(3, ge=1, description="Number of numbers.")
        source: str | None = pydantic.Field(None, description="A file of numbers.")
        noise: int = pydantic.Field(0, description="Does not change the output.")

    outputs = {"examples": ArtifactType.EXAMPLES}
    reports = frozenset({"remarks.txt"})
    remarks = "none"

    def check(self):
        if self.config.source and not pathlib.Path(self.config.source).exists():
            raise UserError(f"numbers.source {self.config.source} does not exist.")

    def external_digests(self):
        return {"source": pathlib.Path(self.config.source).read_text()} if self.config.source else {}

    def read_paths(self):
        return {"source": self.config.source} if self.config.source else {}

    def execute(self, *, inputs, outputs, context):
        if self.config.source:
            text = pathlib.Path(self.config.source).read_text()
        else:
            text = "\n".join(map(str, range(self.config.count)))
        (outputs["examples"] / "numbers.txt").write_text(text)
        (outputs["examples"] / "remarks.txt").write_text(self.remarks)
        count = len(text.split())
        return StageResult(summary=f"{count} numbers", figures={"count": count})


class Total(Component):
    """Adds the numbers up. Takes a given time, continues from its work folder, and fails on request."""

    class Config(StageConfig):
        seconds: float = pydantic.Field(0.0, description="Duration of the stage.")
        fail: bool = pydantic.Field(False, description="Whether the stage fails.")
        workers: int = pydantic.Field(1, description="Does not change the output.")
        most: int = pydantic.Field(1000, description="A finished total above it cannot be reused.")
        left: int = pydantic.Field(0, description="Number of executions that leave something to do.")
        later: int = pydantic.Field(5, description="A field that the stage did not have at first.")
        incidental = frozenset({"workers", "most", "left"})
        added = {"later": 5}

    inputs = {"examples": ArtifactType.EXAMPLES}
    outputs = {"model": ArtifactType.MODEL, "run": ArtifactType.MODEL_RUN}

    def unfinished(self, figures):
        return "something is left" if figures["left"] else ""

    def check_reused(self, *, outputs, figures):
        assert json.loads((outputs["model"] / "total.json").read_text()) == figures["total"]
        if figures["total"] > self.config.most:
            raise UserError(f"total.most={self.config.most} is less than {figures['total']}.")

    def execute(self, *, inputs, outputs, context):
        (context.tensorboard_dir / "events").write_text("x")
        (outputs["run"] / "half").write_text("written before the end")
        (outputs["run"] / "previous").write_text(str(context.previous.get("model", "")))
        (outputs["run"] / "earlier_work_dirs").write_text("\n".join(map(str, context.earlier_work_dirs)))
        steps = max(1, round(self.config.seconds / 0.05))
        state = context.work_dir / "step"
        first = int(state.read_text()) if state.exists() else 0
        for step in range(first, steps):
            context.progress.update(step + 1, total=steps, unit="steps", loss=1.0 / (step + 1))
            time.sleep(self.config.seconds / steps)
            # Written under another name because a signal may arrive while the file is empty.
            state.with_suffix(".new").write_text(str(step + 1))
            state.with_suffix(".new").replace(state)
        if self.config.fail:
            raise RuntimeError("it broke")
        total = sum(map(int, (inputs["examples"] / "numbers.txt").read_text().split()))
        (outputs["model"] / "total.json").write_text(json.dumps(total))
        figures = {"total": total, "first": first, "left": self.config.left}
        return StageResult(summary=f"total {total}, from step {first}", figures=figures)


class Verdict(Component):
    """Judges whether the total is large."""

    inputs = {"model": ArtifactType.MODEL}
    outputs = {"blessing": ArtifactType.MODEL_BLESSING}

    def execute(self, *, inputs, outputs, context):
        total = json.loads((inputs["model"] / "total.json").read_text())
        (outputs["blessing"] / "verdict.txt").write_text("large" if total > 2 else "small")
        return StageResult(summary="judged")


class Census(Component):
    """Depends on the numbers but not on their total."""

    inputs = {"examples": ArtifactType.EXAMPLES}
    outputs = {"statistics": ArtifactType.EXAMPLE_STATISTICS}

    def execute(self, *, inputs, outputs, context):
        (outputs["statistics"] / "statistics.json").write_text("{}")
        return StageResult(summary="counted")


def build(*, numbers=None, total=None):
    """Returns the pipeline Numbers -> Census, Numbers -> Total -> Verdict."""
    pipeline = Pipeline()
    examples = pipeline.add(Numbers(Numbers.Config(**(numbers or {}))))["examples"]
    pipeline.add(Census(), examples=examples)
    model = pipeline.add(Total(Total.Config(**(total or {}))), examples=examples)["model"]
    pipeline.add(Verdict(), model=model)
    return pipeline


def run(folder, pipeline, *, metadata=None, supervision=None, **flags):
    """Runs a pipeline under `folder` and returns the execution of each stage. A folder in a bucket needs `metadata`."""
    root = Root(epath.Path(folder))
    with interrupts.as_exceptions(), root.lock():
        store = MetadataStore(metadata or root.metadata_uri(), pipeline="test", root=root.path)
        runner = LocalRunner(root, store=store, display=Display(), supervision=supervision)
        done = runner.run(pipeline, **flags)
    return {execution.stage: execution for execution in store.executions(run=done)}
