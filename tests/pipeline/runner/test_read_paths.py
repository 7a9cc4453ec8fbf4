"""What a stage reads of its own root by a path is recorded as an input, however else it gets the same."""

import os

from components.base import ArtifactType, StageConfig, StageResult
from pipeline.metadata.executions import State
from pipeline.runner.graph import Pipeline
from tests.pipeline.runner import soundness, stages


class Comparison(stages.Census):
    """Compares numbers with two files that its config names."""

    class Config(StageConfig):
        baselines: tuple[str, ...] = ()

    outputs = {"statistics": ArtifactType.EXAMPLE_STATISTICS}

    def read_paths(self):
        return {f"baseline{number}": path for number, path in enumerate(self.config.baselines)}

    def execute(self, *, inputs, outputs, context):
        super().execute(inputs=inputs, outputs=outputs, context=context)
        return StageResult(summary="compared")


def build(*baselines, count=3):
    pipeline = Pipeline()
    examples = pipeline.add(stages.Numbers(stages.Numbers.Config(count=count)))["examples"]
    pipeline.add(Comparison(Comparison.Config(baselines=baselines)), examples=examples)
    return pipeline


def read_by(root, execution):
    uses = [use for use in soundness.store_of(root).uses([execution]) if not use.is_output]
    return [(use.channel, os.path.relpath(use.artifact.uri, root)) for use in uses]


def test_an_artifact_that_comes_by_several_ways_is_one_input(tmp_path):
    stages.run(tmp_path, build())
    folder = tmp_path / "artifacts" / "Numbers" / "examples" / "1"
    files = [str(folder / "numbers.txt"), str(folder / "remarks.txt")]
    made = stages.run(tmp_path, build(*files))["Comparison"]
    assert (made.state, made.summary) == (State.COMPLETE, "compared")
    assert read_by(tmp_path, made) == [("examples", "artifacts/Numbers/examples/1")]
    reused = stages.run(tmp_path, build(*files))["Comparison"]
    assert reused.state == State.CACHED
    assert read_by(tmp_path, reused) == read_by(tmp_path, made)


def test_another_artifact_is_an_input_beside_it(tmp_path):
    stages.run(tmp_path, build())
    folder = tmp_path / "artifacts" / "Numbers" / "examples" / "1"
    files = [str(folder / "numbers.txt"), str(folder / "remarks.txt")]
    made = stages.run(tmp_path, build(*files, count=4))["Comparison"]
    assert read_by(tmp_path, made) == [
        ("examples", "artifacts/Numbers/examples/3"),
        ("external_baseline0", "artifacts/Numbers/examples/1"),
    ]
