"""`diptych gc`: what it removes, and what it keeps."""

import contextlib
import os
import pathlib
import shutil
import sqlite3
import subprocess
import sys

import pytest
from etils import epath

from pipeline import cli
from pipeline.console.progress import Display
from pipeline.metadata.executions import State
from pipeline.runner import one_component
from tests import processes
from tests.pipeline.refusals import refusal
from tests.pipeline.runner import chain, soundness, stages, test_extensions


def artifacts(root):
    """Returns the numbers of the published folders by stage."""
    found = {}
    for folder in sorted(root.glob("artifacts/*/*/*")):
        if folder.is_dir():
            found.setdefault(folder.parts[-3], set()).add(int(folder.name))
    return found


def gc(root, *flags):
    assert cli.main(["gc", "--root", str(root), *flags]) == 0


def content(root):
    return {path: path.stat().st_mtime_ns for path in root.rglob("*")}


@pytest.fixture(scope="module")
def three_runs(tmp_path_factory):
    """A root with runs of the seeds 1, 3, which makes a good model, and 2. Run n wrote folders 6n + 1 to 6n + 6."""
    root = tmp_path_factory.mktemp("three_runs")
    for seed in (1, 3, 2):
        stages.run(root, chain.build(seed))
    return root


@pytest.fixture
def root(three_runs, tmp_path):
    """A copy of that root."""
    shutil.copytree(three_runs, tmp_path, dirs_exist_ok=True)
    return tmp_path


def test_a_dry_run_says_bytes_and_changes_nothing(root, capsys):
    before = content(root)
    gc(root)
    text = capsys.readouterr().out
    assert content(root) == before
    size = sum(
        file.stat().st_size
        for folder in root.glob("artifacts/*/*/[1-6]")
        for file in folder.rglob("*")
        if file.is_file()
    )
    assert f"({size:,} bytes). --delete removes it." in text


def test_the_good_model_and_the_newest_run_are_kept_with_all_that_they_descend_from(root):
    gc(root, "--delete")
    assert artifacts(root) == {stage: {7 + place, 13 + place} for place, stage in enumerate(chain.STAGES)}
    assert not list(root.glob("artifacts/*/*/[1-6].sha256"))
    assert not list(root.glob("staging/*"))
    soundness.check_finished(root)


def test_what_was_removed_is_made_again_and_its_lineage_is_still_told(root, capsys):
    gc(root, "--delete")
    capsys.readouterr()
    assert cli.main(["lineage", "Trainer/first/3", "--root", str(root)]) == 0
    assert capsys.readouterr().out.count("removed by diptych gc") == 9
    done = stages.run(root, chain.build(1))
    assert {execution.state for execution in done.values()} == {State.COMPLETE}
    assert done["Trainer"].why == "published first removed by diptych gc"
    soundness.check_finished(root)


def test_what_the_newest_run_shares_with_others_is_kept(tmp_path):
    for total in (0.0, 0.05):
        stages.run(tmp_path, stages.build(total={"seconds": total}))
    gc(tmp_path, "--delete")
    # Total wrote the same again, so Verdict was reused. It descends from what Total wrote first.
    assert artifacts(tmp_path) == {"Numbers": {1}, "Census": {2}, "Total": {3, 7}, "Verdict": {4}}
    assert {e.state for e in stages.run(tmp_path, stages.build(total={"seconds": 0.05})).values()} == {State.CACHED}


def test_a_newest_run_that_went_only_part_of_the_way_takes_no_other_stage_its_last_outputs(root):
    stages.run(root, chain.build(4), until_stage="StatisticsGen")
    gc(root, "--delete")
    kept = artifacts(root)
    assert kept["Trainer"] == {9, 15}
    assert kept["StatisticsGen"] == {8, 14, 20}
    done = stages.run(root, chain.build(4), from_stage="Pusher")
    assert done["Trainer"].why == "reused unchecked, because it comes before --from"


def test_a_blessed_model_is_kept_however_many_runs_come_after_it(root):
    for seed in (4, 5):
        stages.run(root, chain.build(seed))
        gc(root, "--delete")
    assert all({7 + place} < artifacts(root)[stage] for place, stage in enumerate(chain.STAGES))
    assert all(len(numbers) == 2 for numbers in artifacts(root).values())


def test_what_a_config_names_in_the_root_is_an_input_that_is_kept(tmp_path, capsys):
    stages.run(tmp_path, stages.build(numbers={"count": 4}))
    link = tmp_path.with_name(f"{tmp_path.name}-link")
    link.symlink_to(tmp_path)
    source = {"source": str(link / "artifacts" / "Numbers" / "examples" / "1" / "numbers.txt")}
    made = stages.run(tmp_path, stages.build(numbers=source))["Numbers"]
    reused = stages.run(tmp_path, stages.build(numbers=source))["Numbers"]
    assert (made.state, reused.state) == (State.COMPLETE, State.CACHED)
    uses = soundness.store_of(tmp_path).uses([made, reused])
    read = [(use.execution_id, use.channel, use.artifact.uri) for use in uses if not use.is_output]
    named = str(tmp_path / "artifacts" / "Numbers" / "examples" / "1")
    assert read == [(number, "external_source", named) for number in (made.id, reused.id)]
    gc(tmp_path, "--delete")
    assert artifacts(tmp_path)["Numbers"] == {1, made.id}
    done = stages.run(tmp_path, stages.build(numbers=source))
    assert {execution.state for execution in done.values()} == {State.CACHED}
    capsys.readouterr()
    assert cli.main(["lineage", f"Numbers/examples/{made.id}", "--root", str(tmp_path)]) == 0
    assert "Numbers/examples/1 " in capsys.readouterr().out


def test_what_stopped_work_goes_on_from_is_kept(tmp_path):
    test_extensions.run(tmp_path, steps=3)
    with pytest.raises(RuntimeError):
        test_extensions.run(tmp_path, steps=9, fail=True)
    test_extensions.run(tmp_path, steps=1, seed=1)
    gc(tmp_path, "--delete")
    assert artifacts(tmp_path) == {"Counting": {1, 3}}
    assert test_extensions.run(tmp_path, steps=9).summary == "from 3 to 9"


def test_what_removed_work_would_have_gone_on_from_is_removed_with_it(tmp_path):
    test_extensions.run(tmp_path, steps=3)
    with pytest.raises(RuntimeError):
        test_extensions.run(tmp_path, steps=9, fail=True)
    test_extensions.run(tmp_path, steps=1, seed=1)
    gc(tmp_path, "--unfinished", "--delete")
    assert artifacts(tmp_path) == {"Counting": {3}}
    assert not list(tmp_path.glob("work/Counting/*"))


def test_the_root_of_a_living_run_is_left_alone(root, capsys):
    command = [sys.executable, "-m", "tests.pipeline.runner.program", str(root), "--seconds", "30"]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL)
    try:
        processes.wait_until(lambda: list(root.glob("work/Total/*/step")))
        before = artifacts(root)
        assert f"process {process.pid}" in refusal(capsys, "gc", "--delete", "--root", root)
        gc(root)
        assert "A run is using the root" in capsys.readouterr().out
        assert artifacts(root) == before
        assert list(root.glob("work/Total/*/step"))
        assert list(root.glob("staging/*"))
    finally:
        process.kill()
        process.wait()


_LOCKING = """
import sys
from etils import epath
from pipeline.root import Root
with Root(epath.Path(sys.argv[1])).lock():
    (epath.Path(sys.argv[1]) / "work").mkdir()
    sys.stdin.read()
"""


class TestUnfinishedWork:
    @pytest.fixture
    def root(self, tmp_path):
        """A root whose stage Total failed with two configs."""
        for seconds in (0.1, 0.2):
            with pytest.raises(RuntimeError):
                stages.run(tmp_path, stages.build(total={"seconds": seconds, "fail": True}))
        assert len(list(tmp_path.glob("work/Total/*"))) == 2
        return tmp_path

    def test_it_is_kept_and_said(self, root, capsys):
        gc(root, "--delete")
        assert "unfinished work, which the next run of the same command continues" in capsys.readouterr().out
        assert len(list(root.glob("work/Total/*"))) == 2

    def test_that_of_a_living_component_is_kept(self, root):
        """`diptych run-component --root` locks its work folder, because any number of them may share a root."""
        living = root / "work" / "Total" / ("0" * 16)
        process = subprocess.Popen([sys.executable, "-c", _LOCKING, str(living)], stdin=subprocess.PIPE)
        try:
            processes.wait_until((living / "work").exists)
            gc(root, "--unfinished", "--delete")
            assert (living / "work").exists()
        finally:
            process.communicate()
        gc(root, "--unfinished", "--delete")
        assert not living.exists()

    def test_that_of_a_component_that_has_finished_is_no_unfinished_work(self, root, tmp_path):
        outputs = {"examples": epath.Path(tmp_path / "elsewhere")}

        def call():
            return one_component.run(
                stages.Numbers(), inputs={}, outputs=outputs, root=epath.Path(root), display=Display()
            )

        done = call()
        gc(root, "--unfinished", "--delete")
        assert call() == done

    def test_only_that_of_the_newest_run_is_kept_on_request(self, root):
        newest = soundness.store_of(root).executions(stage="Total")[-1].cache_key.digest
        gc(root, "--unfinished", "--delete")
        assert [folder.name for folder in root.glob("work/Total/*")] == [newest[:16]]


def test_what_the_metadata_does_not_know_is_left_alone_and_said(root, capsys):
    (root / "artifacts" / "Trainer" / "first" / "99").mkdir()
    (root / "artifacts" / "Trainer" / "first" / "99" / "model").write_text("mine")
    gc(root, "--delete")
    assert "Kept besides: 4 B of artifacts that the metadata does not know" in capsys.readouterr().out
    assert 99 in artifacts(root)["Trainer"]


def test_what_other_metadata_knows_is_kept(tmp_path, capsys):
    done = stages.run(tmp_path, stages.build())
    published = [artifact.folder for execution in done.values() for artifact in execution.outputs.values()]
    (tmp_path / "metadata.sqlite").rename(tmp_path / "kept.sqlite")
    with pytest.raises(RuntimeError):
        stages.run(tmp_path, stages.build(total={"fail": True}))
    assert cli.main(["gc", "--root", str(tmp_path), "--delete"]) == 0
    assert all(folder.exists() for folder in published)


def test_what_a_killed_run_left_is_removed(root):
    with contextlib.closing(sqlite3.connect(root / "metadata.sqlite")) as database, database:
        database.execute("UPDATE Execution SET last_known_state = 2 WHERE id = 18")
        database.execute("DELETE FROM EventPath WHERE event_id IN (SELECT id FROM Event WHERE execution_id = 18)")
        database.execute("DELETE FROM Event WHERE execution_id = 18")
    (root / "staging" / "18").mkdir(parents=True)
    (root / "artifacts" / "Pusher" / "second" / "18").rename(root / "staging" / "18" / "second")
    gc(root, "--delete")
    assert not list(root.glob("staging/*"))


def test_a_link_to_the_root_is_the_same_root(root, tmp_path):
    link = tmp_path.with_name(f"{tmp_path.name}-link")
    os.symlink(root, link)
    gc(link, "--delete")
    assert artifacts(pathlib.Path(root))["Trainer"] == {9, 15}


def test_of_a_folder_that_was_moved_and_linked_the_link_is_removed(root, tmp_path_factory, capsys):
    elsewhere = tmp_path_factory.mktemp("elsewhere") / "3"
    published = root / "artifacts" / "Trainer" / "first" / "3"
    shutil.move(published, elsewhere)
    published.symlink_to(elsewhere)
    text = "".join(file.read_text() for file in sorted(elsewhere.iterdir()))
    gc(root)
    size = sum(
        file.stat().st_size
        for folder in root.glob("artifacts/*/*/[1-6]")
        for file in folder.rglob("*")
        if not folder.is_symlink()
    )
    assert f"({size:,} bytes)" in capsys.readouterr().out
    gc(root, "--delete")
    assert not os.path.lexists(published)
    assert "".join(file.read_text() for file in sorted(elsewhere.iterdir())) == text
    assert not list(root.glob("staging/*"))
    stages.run(root, chain.build(4))
    soundness.check_finished(root)


def test_links_that_lead_nowhere_or_back_do_not_count(root, capsys):
    gc(root)
    before = capsys.readouterr().out
    work = root / "work" / "Trainer" / "0123"
    work.mkdir(parents=True)
    (work / "step").write_text("12345")
    for name, target in (("nowhere", "/nowhere"), ("back", "..")):
        (work / name).symlink_to(target)
    gc(root)
    after = capsys.readouterr().out
    assert "Kept besides: 5 B of unfinished work" in after
    assert before.splitlines()[-1] in after
