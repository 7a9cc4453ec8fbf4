"""Damage to published files: the stage that wrote them runs again, at once or after one sentence."""

import errno
import pathlib

import pytest
from etils import epath

from components.base import ArtifactType, Component, StageConfig, StageResult
from components.errors import DamagedFile, UserError
from pipeline import checksums
from pipeline.metadata.executions import State
from pipeline.root import Root
from pipeline.runner.graph import Pipeline
from tests.pipeline.runner import stages

RAN, SKIPPED = State.COMPLETE, State.CACHED


class Noise(Component):
    """Writes a file that is too large to be read at every reuse."""

    outputs = {"examples": ArtifactType.MODEL}
    reports = frozenset({"remarks.csv"})

    def execute(self, *, inputs, outputs, context):
        (outputs["examples"] / "large.bin").write_bytes(bytes(checksums.CHEAP_BYTES + 1))
        (outputs["examples"] / "remarks.csv").write_text("none")
        return StageResult(summary="written")


class Reader(Component):
    """Fails where the file is not as it was written, like a decoder that meets a wrong byte."""

    class Config(StageConfig):
        seed: int = 0

    inputs = {"examples": ArtifactType.MODEL}
    outputs = {"model": ArtifactType.MODEL}

    def execute(self, *, inputs, outputs, context):
        if any((inputs["examples"] / "large.bin").read_bytes()):
            raise RuntimeError("corrupted record at 7")
        (outputs["model"] / "model").write_text("")
        return StageResult(summary="read")


def build(seed=0):
    return wired(Noise(), Reader(Reader.Config(seed=seed)))


def wired(writer, reader):
    pipeline = Pipeline()
    pipeline.add(reader, examples=pipeline.add(writer)["examples"])
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
    assert done["Noise"].why == "published examples missing or altered: large.bin has other content"
    assert set(states(stages.run(tmp_path, build(seed=1))).values()) == {SKIPPED}


def test_stages_before_from_are_not_reused_when_they_were_altered(tmp_path):
    done = stages.run(tmp_path, build())
    flip(pathlib.Path(done["Noise"].outputs["examples"].uri, "large.bin"))
    with pytest.raises(DamagedFile, match="without --from"):
        stages.run(tmp_path, build(), from_stage="Reader")
    with pytest.raises(UserError, match="outputs of Noise, which are missing or altered: run without --from"):
        stages.run(tmp_path, build(), from_stage="Reader")
    assert states(stages.run(tmp_path, build())) == {"Noise": RAN, "Reader": SKIPPED}


def test_a_small_output_that_was_altered_is_written_again_at_once(tmp_path):
    done = stages.run(tmp_path, stages.build())
    flip(pathlib.Path(done["Numbers"].outputs["examples"].uri, "numbers.txt"))
    done = stages.run(tmp_path, stages.build())
    assert states(done) == {"Numbers": RAN, "Census": SKIPPED, "Total": SKIPPED, "Verdict": SKIPPED}
    assert done["Numbers"].why == "published examples missing or altered: numbers.txt has other content"


def test_a_damaged_input_that_can_be_read_is_found(tmp_path):
    """A wrong weight of a model is read without an error."""
    done = stages.run(tmp_path, build())
    file = pathlib.Path(done["Noise"].outputs["examples"].uri, "large.bin")
    flip(file)

    class Blind(Reader):
        def execute(self, *, inputs, outputs, context):
            raise AssertionError("it would not have noticed")

    with pytest.raises(DamagedFile, match=str(file)):
        stages.run(tmp_path, wired(Noise(), Blind()))


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
            path = f"{inputs['examples']}/large.bin"
            raise DamagedFile(f"{path} is damaged.", path=path)

    with pytest.raises(DamagedFile, match=r"large\.bin"):
        stages.run(tmp_path, wired(Noise(), Careful()))
    assert stages.run(tmp_path, build())["Noise"].state == RAN


class Corpus(Noise):
    """The same file as a part of a corpus, whose readers find damage themselves."""

    outputs = {"examples": ArtifactType.EXAMPLES}


class CorpusReader(Reader):
    """Raises the error in `error`, if there is one."""

    inputs = {"examples": ArtifactType.EXAMPLES}
    error = None

    def execute(self, *, inputs, outputs, context):
        if self.error is not None:
            raise self.error
        return StageResult(summary="read nothing")


def test_a_corpus_is_hashed_neither_before_a_stage_nor_because_of_a_bug(tmp_path):
    done = stages.run(tmp_path, wired(Corpus(), CorpusReader()))
    flip(pathlib.Path(done["Corpus"].outputs["examples"].uri, "large.bin"))
    stages.run(tmp_path, wired(Corpus(), CorpusReader()), force=["CorpusReader"])

    class Wrong(CorpusReader):
        error = RuntimeError("a wrong shape")

    with pytest.raises(RuntimeError, match="a wrong shape"):
        stages.run(tmp_path, wired(Corpus(), Wrong()))
    assert stages.run(tmp_path, wired(Corpus(), CorpusReader()))["Corpus"].state == SKIPPED


def test_the_file_of_a_corpus_that_its_reader_calls_damaged_is_compared(tmp_path, capsys):
    done = stages.run(tmp_path, wired(Corpus(), CorpusReader()))
    file = pathlib.Path(done["Corpus"].outputs["examples"].uri, "large.bin")

    class Careful(CorpusReader):
        error = DamagedFile("The reader finds it damaged.", path=str(file))

    with pytest.raises(DamagedFile, match="The reader finds it damaged"):  # It is as it was written.
        stages.run(tmp_path, wired(Corpus(), Careful()))
    flip(file)
    with pytest.raises(DamagedFile, match=f"{file} was altered after Corpus wrote it"):
        stages.run(tmp_path, wired(Corpus(), Careful()))
    assert "it fails; looking whether one of its inputs was altered" in capsys.readouterr().out
    assert stages.run(tmp_path, wired(Corpus(), CorpusReader()))["Corpus"].state == RAN


def test_an_error_with_a_known_cause_is_told_at_once(tmp_path, monkeypatch):
    """Inputs that cannot be read, or a full disk, are no reason to write the inputs again."""
    done = stages.run(tmp_path, build())
    folder = epath.Path(done["Noise"].outputs["examples"].uri)

    class Unlucky(Reader):
        def execute(self, *, inputs, outputs, context):
            flip(folder / "large.bin")
            raise OSError(errno.ENOSPC, "No space left on device", "/full")

    with pytest.raises(UserError, match="^/full cannot be used") as caught:
        stages.run(tmp_path, wired(Noise(), Unlucky()))
    assert not isinstance(caught.value, DamagedFile)
    assert not folder.with_name(f"{folder.name}.altered").exists()


def test_a_file_that_was_put_back_makes_no_stage_run_again(tmp_path):
    done = stages.run(tmp_path, build())
    file = pathlib.Path(done["Noise"].outputs["examples"].uri, "large.bin")
    flip(file)
    with pytest.raises(DamagedFile):
        stages.run(tmp_path, build(seed=1))
    flip(file)
    assert states(stages.run(tmp_path, build(seed=1))) == {"Noise": SKIPPED, "Reader": RAN}


def test_a_report_may_be_edited(tmp_path):
    done = stages.run(tmp_path, build())
    pathlib.Path(done["Noise"].outputs["examples"].uri, "remarks.csv").write_text("saved from a spreadsheet")
    assert states(stages.run(tmp_path, build())) == {"Noise": SKIPPED, "Reader": SKIPPED}


def test_checksums_go_with_outputs_that_are_not_published(tmp_path, monkeypatch):
    def stop(root):
        raise RuntimeError("killed between the checksums and the folder")

    with monkeypatch.context() as patched:
        patched.setattr(Root, "check_held", stop)
        with pytest.raises(RuntimeError, match="killed between"):
            stages.run(tmp_path, build())
    assert not list((tmp_path / "artifacts").rglob("*.sha256"))


def test_on_cloud_storage_a_listing_tells_that_an_input_with_reports_is_intact(buckets, tmp_path, monkeypatch):
    """No file of it is read but by the reader, not even after a person has edited a report."""
    monkeypatch.setattr(checksums, "CHEAP_BYTES", 1000)
    root, metadata = epath.Path("gs://bucket/root"), str(tmp_path / "metadata.sqlite")
    folder = stages.run(root, build(), metadata=metadata)["Noise"].outputs["examples"].folder
    (folder / "remarks.csv").write_text("looks good")
    before = len(buckets.requests())
    stages.run(root, build(seed=1), metadata=metadata)
    reads = [request.path for request in buckets.requests(start=before) if request.kind == "read"]
    assert sum("large.bin" in path for path in reads) == 1
