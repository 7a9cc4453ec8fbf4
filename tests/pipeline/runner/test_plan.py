"""The plan says beforehand what the run then does, and changes nothing."""

import io

import pytest
from etils import epath
from rich.console import Console

from components.errors import UserError
from pipeline.console import plan as plan_table
from pipeline.metadata.store import MetadataStore
from pipeline.root import Root
from pipeline.runner import interrupts, plan
from tests.pipeline.runner import gated_stages, stages


def planned(root, pipeline, **flags):
    """Returns the plan of a run, after a check that making it has changed nothing."""
    before = content(root)
    metadata = MetadataStore(Root(epath.Path(root)).metadata_uri(), pipeline="test", read_only=True)
    made = plan.make(pipeline, store=metadata, **flags)
    assert content(root) == before
    return made


def content(root):
    """Returns name -> (time of the last change, bytes) of everything below a folder."""
    return {path: (path.stat().st_mtime_ns, path.is_file() and path.read_bytes()) for path in root.rglob("*")}


def outcomes(made):
    return {stage.stage: stage.outcome for stage in made.stages}


def reasons(made):
    return {stage.stage: stage.why for stage in made.stages}


def build(*, inspection=None, numbers=None):
    return gated_stages.build(numbers=numbers, inspection=inspection)


def test_a_root_that_does_not_exist_stays_so(tmp_path):
    made = planned(tmp_path / "root", build())
    assert set(outcomes(made).values()) == {"runs"}
    assert set(reasons(made).values()) == {"first run"}
    assert not (tmp_path / "root").exists()


def test_nothing_to_do(tmp_path):
    done = stages.run(tmp_path, build())
    made = planned(tmp_path, build())
    assert set(outcomes(made).values()) == {"skipped"}
    done = stages.run(tmp_path, build())
    assert reasons(made) == {stage: execution.why for stage, execution in done.items()}


def test_stages_after_one_that_runs_depend_on_what_it_writes(tmp_path):
    stages.run(tmp_path, build())
    made = planned(tmp_path, build(numbers={"count": 4}))
    assert outcomes(made) == {
        "Numbers": "runs",
        "Census": "depends",
        "Inspection": "depends",
        "Training": "depends",
        "Publication": "depends",
    }
    assert reasons(made)["Numbers"] == "config.count 3 -> 4"
    assert reasons(made)["Census"] == "runs if what Numbers will write differs from what it read before"


def test_a_stage_with_a_reason_of_its_own_runs_whatever_comes_before_it(tmp_path):
    stages.run(tmp_path, build())
    made = planned(tmp_path, build(numbers={"count": 4}, inspection={"remark": "new"}))
    assert (outcomes(made)["Census"], outcomes(made)["Inspection"]) == ("depends", "runs")
    assert reasons(made)["Inspection"] == "config.remark  -> new"


def test_a_gate_that_is_not_known_yet_leaves_the_stage_skipped(tmp_path):
    stages.run(tmp_path, build())
    made = planned(tmp_path, build(inspection={"remark": "new"}))
    assert outcomes(made) == {
        "Numbers": "skipped",
        "Census": "skipped",
        "Inspection": "runs",
        "Training": "skipped",
        "Publication": "skipped",
    }
    assert reasons(made)["Training"].endswith("; refused if Inspection closes its gate")


@pytest.mark.parametrize("flags", [{}, {"from_stage": "Publication"}])
def test_a_closed_gate_is_said_as_the_run_would(tmp_path, flags):
    closed = {"remark": "too short", "fatal": True}
    stages.run(tmp_path, build())
    with pytest.raises(UserError):
        stages.run(tmp_path, build(inspection=closed))
    made = planned(tmp_path, build(inspection=closed), **flags)
    assert (outcomes(made)["Training"], outcomes(made)["Publication"]) == ("refused", "not run")
    with pytest.raises(UserError) as refused:
        stages.run(tmp_path, build(inspection=closed), **flags)
    assert str(made.refusal) == str(refused.value)


def test_flags_are_respected(tmp_path):
    stages.run(tmp_path, stages.build())
    made = planned(tmp_path, stages.build(), force=["Total"], until_stage="Total")
    assert outcomes(made) == {"Numbers": "skipped", "Census": "not run", "Total": "runs", "Verdict": "not run"}
    assert reasons(made)["Total"] == "--force"
    made = planned(tmp_path, stages.build(numbers={"count": 9}), from_stage="Total")
    assert outcomes(made) == {"Numbers": "skipped", "Census": "skipped", "Total": "runs", "Verdict": "runs"}
    assert reasons(made)["Verdict"] == "--from Total"


def test_what_a_run_refuses_a_plan_refuses(tmp_path):
    with pytest.raises(UserError, match="gone.txt does not exist"):
        planned(tmp_path, stages.build(numbers={"source": "gone.txt"}))
    with pytest.raises(UserError, match="--until Total excludes Verdict"):
        planned(tmp_path, stages.build(), until_stage="Total", force=["Verdict"])
    made = planned(tmp_path, stages.build(), from_stage="Total")
    assert "--from needs the outputs of Numbers" in str(made.refusal)


def test_an_interrupted_stage_and_a_changed_reuse(tmp_path, monkeypatch):
    monkeypatch.setattr(gated_stages.Training, "interrupted_after", 1)
    with pytest.raises(interrupts.Interrupted):
        stages.run(tmp_path, build())
    made = planned(tmp_path, build())
    assert (outcomes(made)["Training"], reasons(made)["Training"]) == ("runs", "interrupted last time")
    assert outcomes(made)["Publication"] == "runs"
    stages.run(tmp_path / "2", stages.build())
    made = planned(tmp_path / "2", stages.build(total={"most": 2}))
    assert "total.most=2 is less than 3" in str(made.refusal)


def test_the_table_can_be_read_at_60_columns(tmp_path):
    stages.run(tmp_path, build())
    out = io.StringIO()
    made = planned(tmp_path, build(numbers={"count": 4}))
    plan_table.show(made, Console(file=out, width=60), preset="tiny")
    lines = out.getvalue().splitlines()
    assert max(map(len, lines)) <= 60
    cells = [cell.strip() for line in lines if "│" in line for cell in line.split("│")]
    assert {"Publication", "depends", "config.count 3 -> 4"} <= set(cells)
    assert "nothing was written" in out.getvalue()
