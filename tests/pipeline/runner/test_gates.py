"""A gate decides whether a stage may go on, and never whether it runs again."""

import pytest

from components.errors import DamagedFile, UserError
from pipeline import checksums
from pipeline.metadata import opening
from pipeline.metadata.executions import State
from pipeline.metadata.store import MetadataStore
from pipeline.runner import interrupts
from tests.pipeline.runner import gated_stages, stages

RAN, SKIPPED = State.COMPLETE, State.CACHED


def run(root, **flags):
    inspection = {name: flags.pop(name) for name in ("remark", "fatal") if name in flags}
    numbers = {"count": flags.pop("count", 3)}
    return stages.run(root, gated_stages.build(numbers=numbers, inspection=inspection), **flags)


def history(root, stage):
    return MetadataStore(str(root / "metadata.sqlite"), pipeline="test").executions(stage=stage)


def test_a_changed_remark_does_not_train_again(tmp_path):
    run(tmp_path)
    done = run(tmp_path, remark="short clips")
    assert done["Inspection"].state == RAN
    assert done["Training"].state == SKIPPED
    assert "nothing changed since" in done["Training"].why


def test_a_gate_is_recorded_as_an_input_of_the_run_and_of_the_reuse(tmp_path):
    first = run(tmp_path)
    done = run(tmp_path, remark="short clips")
    records = opening.open_records(str(tmp_path / "metadata.sqlite"))
    read = {
        event.execution_id: event.artifact.uri
        for event in records.events([first["Training"].id, done["Training"].id])
        if event.channel == "anomalies" and not event.output
    }
    assert read == {
        first["Training"].id: f"artifacts/Inspection/anomalies/{first['Inspection'].id}",
        done["Training"].id: f"artifacts/Inspection/anomalies/{done['Inspection'].id}",
    }


@pytest.mark.parametrize("has_trained", [False, True])
def test_a_closed_gate_refuses_the_run_and_the_reuse(tmp_path, has_trained):
    if has_trained:
        run(tmp_path)
    with pytest.raises(UserError, match=r"cannot be trained on: too short; change the remark\.$"):
        run(tmp_path, remark="too short", fatal=True)
    refused = history(tmp_path, "Training")[-1]
    assert (refused.state, refused.why) == (State.FAILED, "refused")
    assert "too short" in refused.summary
    done = run(tmp_path, remark="too short")
    assert done["Training"].state == (SKIPPED if has_trained else RAN)
    assert done["Training"].summary == "from step 0"
    assert has_trained or done["Training"].why == "first run"


@pytest.mark.parametrize("stage", ["Training", "Publication"])
def test_a_closed_gate_holds_with_from(tmp_path, stage):
    run(tmp_path)
    run(tmp_path, remark="too short", fatal=True, until_stage="Inspection")
    way_out = "change the remark; leave out --from, which takes Inspection's last outputs"
    with pytest.raises(UserError, match=f"too short; {way_out}"):
        run(tmp_path, from_stage=stage)
    assert run(tmp_path)["Training"].state == SKIPPED


@pytest.mark.parametrize("flags", [{}, {"force": ["Training"]}, {"from_stage": "Training"}], ids=str)
def test_a_damaged_gate_is_one_sentence_and_its_writer_runs_again(tmp_path, monkeypatch, flags):
    """It is too large to be looked at whenever it is reused."""
    run(tmp_path)
    monkeypatch.setattr(checksums, "CHEAP_BYTES", 0)
    monkeypatch.setattr(checksums, "INPUT_BYTES", 0)
    (file,) = tmp_path.glob("artifacts/Inspection/anomalies/*/anomalies.json")
    file.write_text("{" + file.read_text()[1:].replace(":", ";"))
    with pytest.raises(DamagedFile) as caught:
        run(tmp_path, **flags)
    assert str(caught.value) == (
        f"{file} was altered after Inspection wrote it: run the same command again (without --from), and Inspection "
        "runs again."
    )
    assert run(tmp_path)["Inspection"].state == RAN


def test_a_changed_remark_does_not_throw_away_an_interrupted_training(tmp_path, monkeypatch):
    monkeypatch.setattr(gated_stages.Training, "interrupted_after", 1)
    with pytest.raises(interrupts.Interrupted):
        run(tmp_path)
    with pytest.raises(UserError, match="too short"):
        run(tmp_path, remark="too short", fatal=True)
    monkeypatch.setattr(gated_stages.Training, "interrupted_after", None)
    done = run(tmp_path, remark="short clips")
    assert done["Training"].summary == "from step 1"


@pytest.mark.parametrize("between", ["skipped", "refused"])
def test_a_forced_training_continues_whatever_run_was_between(tmp_path, monkeypatch, between):
    run(tmp_path)
    monkeypatch.setattr(gated_stages.Training, "interrupted_after", 1)
    with pytest.raises(interrupts.Interrupted):
        run(tmp_path, force=["Training"])
    monkeypatch.setattr(gated_stages.Training, "interrupted_after", None)
    if between == "skipped":
        assert run(tmp_path)["Training"].state == SKIPPED
    else:
        with pytest.raises(UserError, match="cannot be trained on"):
            run(tmp_path, remark="too short", fatal=True)
    assert run(tmp_path, force=["Training"])["Training"].summary == "from step 1"


def test_a_changed_report_runs_no_later_stage(tmp_path, monkeypatch):
    run(tmp_path)
    monkeypatch.setattr(stages.Numbers, "remarks", "two broken files")
    done = run(tmp_path, force=["Numbers"])
    assert (done["Numbers"].state, done["Census"].state, done["Training"].state) == (RAN, SKIPPED, SKIPPED)


class TestEarlierInputs:
    def test_the_second_run_is_skipped_whole(self, tmp_path):
        assert run(tmp_path)["Inspection"].summary == "last None"
        assert {execution.state for execution in run(tmp_path).values()} == {SKIPPED}

    def test_the_last_different_content_is_an_input(self, tmp_path):
        run(tmp_path)
        done = run(tmp_path, count=4)
        assert done["Inspection"].summary == "last 3"
        assert {execution.state for execution in run(tmp_path, count=4).values()} == {SKIPPED}
        # Another config compares with the same content as before.
        assert run(tmp_path, count=4, remark="new")["Inspection"].summary == "last 3"

    def test_equal_keys_mean_equal_outputs_when_an_earlier_input_comes_back(self, tmp_path):
        run(tmp_path)
        run(tmp_path, count=4)
        done = run(tmp_path)
        assert (done["Inspection"].state, done["Inspection"].summary) == (RAN, "last 4")
        assert done["Inspection"].why == "input last_statistics changed, input statistics changed"
        assert done["Training"].state == SKIPPED
