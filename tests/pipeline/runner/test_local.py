import errno
import json
import pathlib
import signal
import subprocess
import sys
import time

import pytest

from beam_jobs import storage
from components.errors import UserError
from pipeline.metadata.executions import State
from pipeline.metadata.store import MetadataStore
from tests.pipeline.runner import stages

REPOSITORY = pathlib.Path(__file__).parents[3]
RAN, SKIPPED = State.COMPLETE, State.CACHED


def states(executions):
    return {stage: execution.state for stage, execution in executions.items()}


class TestSkipping:
    def test_a_second_run_skips_everything_and_says_since_when(self, tmp_path):
        first = stages.run(tmp_path, stages.build())
        second = stages.run(tmp_path, stages.build())
        assert set(states(first).values()) == {RAN}
        assert {execution.why for execution in first.values()} == {"first run"}
        assert set(states(second).values()) == {SKIPPED}
        assert time.strftime("nothing changed since %Y-%m-%d") in second["Total"].why
        assert second["Total"].summary == first["Total"].summary == "total 3, from step 0"
        assert second["Total"].outputs["model"].uri == first["Total"].outputs["model"].uri

    def test_a_changed_config_reruns_the_stage_and_those_whose_input_changed(self, tmp_path):
        stages.run(tmp_path, stages.build())
        done = stages.run(tmp_path, stages.build(total={"seconds": 0.1}))
        # The total is the same number, so the stage that reads it does not run.
        assert states(done) == {"Numbers": SKIPPED, "Census": SKIPPED, "Total": RAN, "Verdict": SKIPPED}
        assert done["Total"].why == "config.seconds 0.0 -> 0.1"
        done = stages.run(tmp_path, stages.build(numbers={"count": 4}))
        assert set(states(done).values()) == {RAN}
        assert done["Numbers"].why == "config.count 3 -> 4"
        assert done["Verdict"].why == "input model changed"
        assert json.loads(pathlib.Path(done["Total"].outputs["model"].uri, "total.json").read_text()) == 6

    def test_an_incidental_field_reruns_nothing(self, tmp_path):
        stages.run(tmp_path, stages.build())
        done = stages.run(tmp_path, stages.build(total={"workers": 8}))
        assert set(states(done).values()) == {SKIPPED}

    def test_a_field_that_was_added_later_reruns_nothing_until_it_is_changed(self, tmp_path):
        assert "later" not in stages.Total.Config().deciding()  # So the cache key is that of a release without it.
        first = stages.run(tmp_path, stages.build())
        done = stages.run(tmp_path, stages.build(total={"later": 6}))
        assert states(done)["Total"] == RAN
        assert done["Total"].why == "config.later unset -> 6"
        again = stages.run(tmp_path, stages.build(total={"later": 5}))
        assert set(states(again).values()) == {SKIPPED}
        assert again["Total"].outputs == first["Total"].outputs

    def test_a_stage_can_refuse_the_reuse_of_its_outputs(self, tmp_path):
        stages.run(tmp_path, stages.build())
        with pytest.raises(UserError, match="total.most=2 is less than 3"):
            stages.run(tmp_path, stages.build(total={"most": 2}))
        done = stages.run(tmp_path, stages.build(total={"most": 3}))
        assert set(states(done).values()) == {SKIPPED}

    def test_a_stage_that_leaves_something_to_do_continues_in_its_work_folder(self, tmp_path):
        first = stages.run(tmp_path, stages.build(total={"left": 1}))
        second = stages.run(tmp_path, stages.build(total={"left": 1}))
        third = stages.run(tmp_path, stages.build(total={"left": 0}))
        for done in (second, third):
            # What reads its outputs does not run, because they are equal.
            assert states(done) == {"Numbers": SKIPPED, "Census": SKIPPED, "Total": RAN, "Verdict": SKIPPED}
            assert done["Total"].why == "something is left"
            assert done["Total"].summary == "total 3, from step 1"
        assert first["Total"].summary == "total 3, from step 0"
        assert set(states(stages.run(tmp_path, stages.build())).values()) == {SKIPPED}
        assert not list((tmp_path / "work" / "Total").iterdir())

    def test_a_stage_gets_the_outputs_it_published_last(self, tmp_path):
        first = stages.run(tmp_path, stages.build())
        again = stages.run(tmp_path, stages.build(numbers={"count": 4}))
        previous = [pathlib.Path(run["Total"].outputs["run"].uri, "previous").read_text() for run in (first, again)]
        assert previous == ["", first["Total"].outputs["model"].uri]

    def test_an_earlier_config_finds_its_outputs_again(self, tmp_path):
        first = stages.run(tmp_path, stages.build())
        stages.run(tmp_path, stages.build(numbers={"count": 4}))
        done = stages.run(tmp_path, stages.build())
        assert set(states(done).values()) == {SKIPPED}
        assert done["Total"].outputs["model"].uri == first["Total"].outputs["model"].uri

    def test_a_changed_file_outside_the_pipeline_reruns_the_stage_that_reads_it(self, tmp_path):
        source = tmp_path / "source.txt"
        source.write_text("1 2")
        pipeline = stages.build(numbers={"source": str(source)})
        stages.run(tmp_path / "root", pipeline)
        source.write_text("1 2 3")
        done = stages.run(tmp_path / "root", pipeline)
        assert done["Numbers"].why == "source changed"
        assert done["Census"].why == "input examples changed"

    @pytest.mark.parametrize("damage", ["delete the folder", "cut the file"])
    def test_damaged_outputs_are_written_again(self, tmp_path, damage):
        first = stages.run(tmp_path, stages.build())
        file = pathlib.Path(first["Total"].outputs["model"].uri, "total.json")
        if damage == "cut the file":
            file.write_text("")
        else:
            file.unlink()
            file.parent.rmdir()
        done = stages.run(tmp_path, stages.build())
        assert states(done) == {"Numbers": SKIPPED, "Census": SKIPPED, "Total": RAN, "Verdict": SKIPPED}
        change = "has other content" if damage == "cut the file" else "is gone"
        assert done["Total"].why == f"published model missing or altered: total.json {change}"


class TestFlags:
    def test_force_reruns_the_named_stages(self, tmp_path):
        stages.run(tmp_path, stages.build())
        done = stages.run(tmp_path, stages.build(), force=["numbers", "Verdict"])
        assert states(done) == {"Numbers": RAN, "Census": SKIPPED, "Total": SKIPPED, "Verdict": RAN}
        assert done["Numbers"].why == "--force"

    def test_from_takes_earlier_outputs_as_they_are(self, tmp_path):
        stages.run(tmp_path, stages.build())
        done = stages.run(tmp_path, stages.build(numbers={"count": 9}), from_stage="Total")
        assert states(done) == {"Numbers": SKIPPED, "Census": SKIPPED, "Total": RAN, "Verdict": RAN}
        assert done["Verdict"].why == "--from Total"
        assert done["Total"].summary.startswith("total 3")

    def test_from_does_not_check_the_stages_before_it(self, tmp_path):
        source = tmp_path / "source.txt"
        source.write_text("1 2")
        pipeline = stages.build(numbers={"source": str(source)})
        stages.run(tmp_path / "root", pipeline)
        source.unlink()
        done = stages.run(tmp_path / "root", pipeline, from_stage="Total")
        assert states(done) == {"Numbers": SKIPPED, "Census": SKIPPED, "Total": RAN, "Verdict": RAN}

    def test_from_needs_earlier_outputs(self, tmp_path):
        with pytest.raises(UserError, match="--from needs the outputs of Numbers, which has not finished here"):
            stages.run(tmp_path, stages.build(), from_stage="Total")

    def test_until_runs_the_named_stage_and_what_it_needs(self, tmp_path):
        done = stages.run(tmp_path, stages.build(), until_stage="Total")
        assert states(done) == {"Numbers": RAN, "Total": RAN}

    def test_flags_that_contradict_each_other(self, tmp_path):
        with pytest.raises(UserError, match="--until Total excludes Verdict"):
            stages.run(tmp_path, stages.build(), until_stage="Total", force=["Verdict"])

    def test_a_flag_with_an_unknown_stage(self, tmp_path):
        with pytest.raises(UserError, match=r"--force Totall: there is no such stage .* did you mean Total\?"):
            stages.run(tmp_path, stages.build(), force=["Totall"])


class TestFailures:
    def test_a_failing_stage_publishes_nothing_and_runs_again(self, tmp_path):
        with pytest.raises(RuntimeError, match="it broke"):
            stages.run(tmp_path, stages.build(total={"fail": True}))
        assert published(tmp_path) == {"Numbers", "Census"}
        metadata = open_store(tmp_path)
        assert [(e.state, e.summary) for e in metadata.executions(stage="Total")] == [
            (State.FAILED, "RuntimeError: it broke")
        ]
        with pytest.raises(RuntimeError):
            stages.run(tmp_path, stages.build(total={"fail": True}))
        assert metadata.executions(stage="Total")[-1].why == "failed last time"

    def test_scratch_that_cannot_be_removed_fails_no_finished_stage(self, tmp_path, monkeypatch, caplog):
        remove = storage.remove_tree

        def refuse(folder):
            if folder.parts[-3:-1] == ("work", "Total") and folder.exists():
                raise OSError(errno.ENOTEMPTY, "Directory not empty")
            remove(folder)

        monkeypatch.setattr(storage, "remove_tree", refuse)
        done = stages.run(tmp_path, stages.build(total={"seconds": 0.1}))
        assert set(states(done).values()) == {RAN}
        assert "temporary files of Total cannot be removed" in caplog.text
        monkeypatch.undo()
        done = stages.run(tmp_path, stages.build(total={"seconds": 0.1}), force=["Total"])
        assert done["Total"].summary == "total 3, from step 0"

    def test_stage_gets_the_work_folders_of_its_failed_executions(self, tmp_path):
        with pytest.raises(RuntimeError):
            stages.run(tmp_path, stages.build(total={"fail": True}))
        (failed,) = (tmp_path / "work" / "Total").iterdir()
        done = stages.run(tmp_path, stages.build(total={"seconds": 0.1}))
        folder = pathlib.Path(done["Total"].outputs["run"].uri)
        assert (folder / "earlier_work_dirs").read_text() == str(failed)

    def test_a_run_with_new_metadata_leaves_the_outputs_that_other_metadata_knows(self, tmp_path, caplog):
        stages.run(tmp_path, stages.build())
        (tmp_path / "metadata.sqlite").rename(tmp_path / "kept.sqlite")
        with pytest.raises(RuntimeError):
            stages.run(tmp_path, stages.build(total={"fail": True}))
        assert "has outputs that this metadata does not know, and that stay" in caplog.text
        done = stages.run(tmp_path, stages.build(numbers={"count": 4}))
        assert set(states(done).values()) == {RAN}
        assert json.loads(pathlib.Path(done["Total"].outputs["model"].uri, "total.json").read_text()) == 6
        (tmp_path / "kept.sqlite").rename(tmp_path / "metadata.sqlite")
        again = stages.run(tmp_path, stages.build())
        assert set(states(again).values()) == {SKIPPED}
        assert json.loads(pathlib.Path(again["Total"].outputs["model"].uri, "total.json").read_text()) == 3

    def test_a_killed_run_of_earlier_metadata_does_not_own_what_newer_metadata_publishes(self, tmp_path):
        process = start(tmp_path, seconds=30)
        wait_for(tmp_path / "work" / "Total")
        process.kill()
        process.wait()
        (tmp_path / "metadata.sqlite").rename(tmp_path / "kept.sqlite")
        done = stages.run(tmp_path, stages.build())
        published = [artifact.folder for execution in done.values() for artifact in execution.outputs.values()]
        (tmp_path / "kept.sqlite").rename(tmp_path / "metadata.sqlite")
        stages.run(tmp_path, stages.build(numbers={"count": 4}))
        assert all(folder.exists() for folder in published)

    def test_all_stages_are_checked_before_the_first_runs(self, tmp_path):
        with pytest.raises(UserError, match="gone.txt does not exist"):
            stages.run(tmp_path, stages.build(numbers={"source": "gone.txt"}))
        assert not (tmp_path / "artifacts").exists()

    def test_a_second_run_on_a_root_in_use_is_refused(self, tmp_path):
        process = start(tmp_path, seconds=30)
        try:
            wait_for(tmp_path / "work" / "Total")
            with pytest.raises(UserError, match=f"process {process.pid}.* is using .*: wait for it, stop it"):
                # The lock belongs to the other process.
                stages.run(tmp_path, stages.build())
        finally:
            process.kill()
            process.wait()


class TestKilled:
    @pytest.mark.parametrize(("number", "status"), [(signal.SIGINT, 130), (signal.SIGTERM, 143), (signal.SIGKILL, -9)])
    def test_nothing_is_published_and_the_next_run_continues(self, tmp_path, number, status):
        process = start(tmp_path, seconds=2)
        wait_for(tmp_path / "work" / "Total", "*/step")
        time.sleep(0.2)
        process.send_signal(number)
        assert process.wait(20) == status
        assert published(tmp_path) == {"Numbers", "Census"}
        before = open_store(tmp_path).executions(stage="Total")[-1]
        assert before.state == (State.RUNNING if number == signal.SIGKILL else State.CANCELED)

        done = stages.run(tmp_path, stages.build(total={"seconds": 2}))
        assert done["Total"].why == "interrupted last time"
        assert done["Total"].figures["first"] > 0
        assert done["Numbers"].state == SKIPPED
        assert published(tmp_path) == {"Numbers", "Census", "Total", "Verdict"}
        assert not list((tmp_path / "staging").iterdir())
        assert not list((tmp_path / "work" / "Total").iterdir())
        history = open_store(tmp_path).executions(stage="Total")
        assert [execution.state for execution in history] == [State.CANCELED, RAN]

    def test_an_output_renamed_just_before_a_kill_is_removed(self, tmp_path):
        process = start(tmp_path, seconds=30)
        wait_for(tmp_path / "work" / "Total", "*/step")
        process.kill()
        process.wait()
        metadata = open_store(tmp_path)
        orphan = tmp_path / "artifacts" / "Total" / "model" / str(metadata.executions(stage="Total")[-1].id)
        orphan.mkdir(parents=True)
        stages.run(tmp_path, stages.build())
        assert not orphan.exists()


def open_store(root):
    return MetadataStore(str(root / "metadata.sqlite"), pipeline="test")


def start(root, *, seconds):
    """Starts a run in its own process whose stage Total takes `seconds`."""
    command = [sys.executable, "-m", "tests.pipeline.runner.program", str(root), "--seconds", str(seconds)]
    return subprocess.Popen(command, cwd=REPOSITORY, stdout=subprocess.DEVNULL)


def wait_for(folder, pattern="*"):
    """Waits up to 20 s until a path that matches `pattern` appears in `folder`."""
    for _ in range(400):
        if folder.exists() and list(folder.glob(pattern)):
            return
        time.sleep(0.05)
    raise TimeoutError(f"{folder}/{pattern} did not appear")


def published(root):
    """Returns the stages that have published outputs."""
    return {path.parts[-3] for path in (root / "artifacts").glob("*/*/*")}
