"""Damage to published files: the stage that wrote them runs again, at once or after one sentence."""

import pathlib

import pytest
from etils import epath

from components.base import ArtifactType, Component, StageConfig, StageResult
from components.errors import DamagedFile
from pipeline import checksums
from pipeline.metadata.executions import State
from pipeline.runner.graph import Pipeline
from tests.pipeline.runner import stages

RAN, SKIPPED = State.COMPLETE, State.CACHED


class Noise(Component):
    """Writes a file that is too large to be read at every reuse."""

    outputs = {"examples": ArtifactType.EXAMPLES}

    def execute(self, *, inputs, outputs, context):
        (outputs["examples"] / "large.bin").write_bytes(bytes(checksums.CHEAP_BYTES + 1))
        return StageResult(summary="written")


class Reader(Component):
    """Fails where the file is not as it was written, like a decoder that meets a wrong byte."""

    class Config(StageConfig):
        seed: int = 0

    inputs = {"examples": ArtifactType.EXAMPLES}
    outputs = {"model": ArtifactType.MODEL}

    def execute(self, *, inputs, outputs, context):
        for file in inputs["examples"].iterdir():
            if any(file.read_bytes()):
                raise RuntimeError("corrupted record at 7")
        (outputs["model"] / "model").write_text("")
        return StageResult(summary="read")


def build(seed=0):
    pipeline = Pipeline()
    examples = pipeline.add(Noise())["examples"]
    pipeline.add(Reader(Reader.Config(seed=seed)), examples=examples)
    return pipeline


def flip(file):
    content = bytearray(file.read_bytes())
    content[len(content) // 2] ^= 4
    file.write_bytes(content)


def states(executions):
    return {stage: execution.state for stage, execution in executions.items()}


@pytest.mark.parametrize("found", ["before the reader runs", "when the reader fails"])
def test_a_stage_whose_large_output_was_altered_runs_again_after_one_sentence(tmp_path, monkeypatch, found):
    if found == "when the reader fails":
        monkeypatch.setattr(checksums, "INPUT_BYTES", 0)
    done = stages.run(tmp_path, build())
    file = pathlib.Path(done["Noise"].outputs["examples"].uri, "large.bin")
    flip(file)
    assert set(states(stages.run(tmp_path, build())).values()) == {SKIPPED}
    with pytest.raises(DamagedFile) as caught:
        stages.run(tmp_path, build(seed=1))
    assert str(caught.value) == (
        f"{file} was altered after Noise wrote it: run the same command again (without --from), and Noise runs again."
    )
    done = stages.run(tmp_path, build(seed=1))
    assert states(done) == {"Noise": RAN, "Reader": RAN}
    assert done["Noise"].why == "published examples missing or altered"
    assert set(states(stages.run(tmp_path, build(seed=1))).values()) == {SKIPPED}


def test_stages_before_from_are_not_reused_when_they_were_altered(tmp_path):
    done = stages.run(tmp_path, build())
    flip(pathlib.Path(done["Noise"].outputs["examples"].uri, "large.bin"))
    with pytest.raises(DamagedFile, match="without --from"):
        stages.run(tmp_path, build(), from_stage="Reader")
    assert states(stages.run(tmp_path, build())) == {"Noise": RAN, "Reader": SKIPPED}


def test_a_small_output_that_was_altered_is_written_again_at_once(tmp_path):
    done = stages.run(tmp_path, stages.build())
    flip(pathlib.Path(done["Numbers"].outputs["examples"].uri, "numbers.txt"))
    done = stages.run(tmp_path, stages.build())
    assert states(done) == {"Numbers": RAN, "Census": SKIPPED, "Total": SKIPPED, "Verdict": SKIPPED}
    assert done["Numbers"].why == "published examples missing or altered"


def test_a_damaged_input_that_can_be_read_is_found(tmp_path):
    """A wrong weight of a model is read without an error."""
    done = stages.run(tmp_path, build())
    file = pathlib.Path(done["Noise"].outputs["examples"].uri, "large.bin")
    flip(file)

    class Blind(Reader):
        def execute(self, *, inputs, outputs, context):
            raise AssertionError("it would not have noticed")

    pipeline = Pipeline()
    pipeline.add(Blind(), examples=pipeline.add(Noise())["examples"])
    with pytest.raises(DamagedFile, match=str(file)):
        stages.run(tmp_path, pipeline)


def test_a_bug_stays_a_bug(tmp_path):
    with pytest.raises(RuntimeError, match="it broke"):
        stages.run(tmp_path, stages.build(total={"fail": True}))


def test_a_folder_without_checksums_is_doubted_when_its_reader_calls_it_damaged(tmp_path):
    """Roots of older versions have no checksums."""
    done = stages.run(tmp_path, build())
    folder = epath.Path(done["Noise"].outputs["examples"].uri)
    checksums.remove(folder)
    flip(folder / "large.bin")

    class Careful(Reader):
        def execute(self, *, inputs, outputs, context):
            raise DamagedFile(f"{inputs['examples']}/large.bin is damaged.")

    pipeline = Pipeline()
    pipeline.add(Careful(), examples=pipeline.add(Noise())["examples"])
    with pytest.raises(DamagedFile, match=r"large\.bin"):
        stages.run(tmp_path, pipeline)
    assert stages.run(tmp_path, build())["Noise"].state == RAN
