"""The report of what has changed in the source since the last run."""

import pytest
from etils import epath

from components.errors import UserError
from tests import corpora
from tests.components import harness
from tests.components.audio_example_gen.stage import audio_example_gen

pytestmark = pytest.mark.usefixtures("blank_pictures", "kept_decoders")


def run(source, folder, *, after=None, earlier_work_dirs=()):
    """Executes the stage, perhaps after an earlier execution that has finished or was interrupted."""
    return harness.execute(
        audio_example_gen(source=str(source)),
        folder,
        previous=after.outputs if after else None,
        earlier_work_dirs=earlier_work_dirs,
    )


def test_clips_added_and_files_gone_since_a_finished_run(tmp_path):
    source = corpora.esc50(tmp_path / "esc", clips=8)
    files = sorted((source / "audio").iterdir())
    first = run(source, tmp_path / "0")
    same = run(source, tmp_path / "1", after=first)
    corpora.write_tone(source / "audio" / "new.ogg")
    with (source / "meta" / "esc50.csv").open("a") as table:
        table.write("new.wav,1,0,class_0,False,0,A\n")
    files[0].unlink()  # The list still names it, so its clip is not removed.
    changed = run(source, tmp_path / "2", after=same)
    other = run(corpora.esc50(tmp_path / "other"), tmp_path / "3", after=changed)
    assert changed.result.summary.endswith(
        "; 1 clip added, 0 removed, 0 files arrived, 1 gone since the last finished run"
    )
    for execution in (first, same, other):
        assert "since" not in execution.result.summary


def test_files_that_arrive_for_known_rows(tmp_path):
    source = corpora.audioset(tmp_path / "as", train=8, evaluation=2)
    files = sorted((source / "audio").iterdir())
    contents = {file: file.read_bytes() for file in files[:5]}
    for file in contents:
        file.unlink()
    (source / "audio" / f"{corpora.ytid(7)}_70.wav").write_bytes(b"bad")  # Quarantined, but not missing.
    first = run(source, tmp_path / "0")
    for file, content in contents.items():
        file.write_bytes(content)
    second = run(source, tmp_path / "1", after=first)
    assert second.result.summary.endswith("; 5 files arrived, 0 gone since the last finished run")
    assert "since" not in run(source, tmp_path / "2", after=second).result.summary


@pytest.fixture
def changed_source(tmp_path):
    """A source that has changed since a run of it failed in the folder `failed`."""
    source = tmp_path / "folder"
    for i in range(6):
        corpora.write_tone(source / f"{i}.wav", hertz=200 + 10 * i)
    (source / "bad.wav").write_bytes(b"bad")
    with pytest.raises(UserError, match="quarantined"):
        harness.execute(audio_example_gen(source=str(source), max_quarantine=0.0), tmp_path / "failed")
    (source / "bad.wav").unlink()
    (source / "0.wav").unlink()
    corpora.write_tone(source / "new.wav")
    return source


def test_change_since_an_interrupted_run_in_the_same_work_folder(changed_source, tmp_path):
    again = run(changed_source, tmp_path / "failed")
    assert "quarantined; 1 clip added, 2 removed since the last interrupted run; " in again.result.summary
    fresh = run(changed_source, tmp_path / "fresh")
    assert corpora.contents(again.outputs["examples"]) == corpora.contents(fresh.outputs["examples"])


def test_change_since_an_interrupted_run_in_another_work_folder(changed_source, tmp_path):
    interrupted = epath.Path(tmp_path / "failed" / "work")
    changed = run(changed_source, tmp_path / "run", earlier_work_dirs=[interrupted])
    assert "quarantined; 1 clip added, 2 removed since the last interrupted run; " in changed.result.summary


@pytest.mark.slow
def test_a_damaged_list_of_the_last_run_does_not_end_the_next_one(tmp_path):
    source = corpora.esc50(tmp_path / "esc", clips=4)
    first = run(source, tmp_path / "first")
    for content in (b"", b"no archive", b"\x1f\x8b\x08\x00cut"):
        (first.outputs["examples"] / "_done" / "listing.txt.gz").write_bytes(content)
        again = run(source, tmp_path / f"after {content.hex()}", after=first)
        assert "since" not in again.result.summary, content
