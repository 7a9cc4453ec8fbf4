"""A chain of fake stages with a fast clock, named like some of the real ones. Every third seed makes a good model."""

import functools
import time
import zlib

import pydantic

from components.base import ArtifactType, Component, StageConfig, StageResult
from pipeline.runner.graph import Pipeline

STAGES = ("AudioExampleGen", "StatisticsGen", "Trainer", "Exporter", "Evaluator", "Pusher")
OUTPUTS = {"first": ArtifactType.EXAMPLES, "second": ArtifactType.MODEL_RUN}
FILES = 3
TICK_S = 0.002
"""How long a stage takes to write a file."""


class Fake(Component):
    """Writes files whose content follows from its config and its input, in steps that its work folder remembers."""

    class Config(StageConfig):
        seed: int = pydantic.Field(0, description="Decides the content.")

    def execute(self, *, inputs, outputs, context):
        read = "".join(file.read_text() for folder in inputs.values() for file in sorted(folder.iterdir()))
        for number in range(FILES):
            for channel, folder in outputs.items():
                text = text_of(self.name, channel, number, seed=self.config.seed, read=read)
                time.sleep(TICK_S)
                (folder / f"{number}.txt").write_text(text)
            (context.work_dir / "step").write_text(str(number))
        is_good = int(self.config.seed % 3 == 0)
        figures = {"blessed": is_good, "pushed": is_good, "both": self.config.seed / 10}
        return StageResult(summary=f"seed {self.config.seed}", figures=figures)


def text_of(stage, channel, number, *, seed, read):
    """Returns the content of a file of a stage that has read a text."""
    return f"{stage} {channel} {number} {seed} {zlib.crc32(read.encode())}\n" * 50


def content(seed):
    """Returns what a run writes: "stage/output/file" -> content."""
    written, read = {}, ""
    for stage in STAGES:
        for channel in OUTPUTS:
            for number in range(FILES):
                text = text_of(stage, channel, number, seed=seed, read=read)
                written[f"{stage}/{channel}/{number}.txt"] = text
        read = "".join(written[f"{stage}/first/{number}.txt"] for number in range(FILES))
    return written


@functools.cache
def component(name, *, has_input):
    members = {
        "inputs": {"input": ArtifactType.EXAMPLES} if has_input else {},
        "outputs": OUTPUTS,
        "__module__": __name__,
    }
    return type(name, (Fake,), members)


def build(seed):
    """Returns a chain of all stages, whose outputs follow from the seed."""
    pipeline, last = Pipeline(), {}
    for name in STAGES:
        made = component(name, has_input=bool(last))(Fake.Config(seed=seed))
        last = {"input": pipeline.add(made, **last)["first"]}
    return pipeline
