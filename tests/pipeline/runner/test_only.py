"""`--only` runs the stages it names on what is there."""

import pytest
from etils import epath

from components.errors import UserError
from pipeline.metadata.executions import State
from pipeline.metadata.store import MetadataStore
from pipeline.root import Root
from pipeline.runner import plan
from tests.pipeline.runner import stages

RAN, SKIPPED = State.COMPLETE, State.CACHED


def states(done):
    return {name: execution.state for name, execution in done.items()}


def test_only_the_named_stages_run_on_the_last_outputs_of_others(tmp_path):
    stages.run(tmp_path, stages.build())
    changed = stages.build(numbers={"count": 9}, total={"seconds": 0.01})
    done = stages.run(tmp_path, changed, only=["total"])
    assert states(done) == {"Numbers": SKIPPED, "Total": RAN}, "Census and Verdict are not touched."
    assert done["Numbers"].why == "reused unchecked, because --only does not name it"
    assert done["Total"].summary.startswith("total 3,"), "Numbers has not run with 9."


def test_a_named_stage_is_skipped_if_nothing_changed_so_the_same_command_continues(tmp_path):
    stages.run(tmp_path, stages.build())
    changed = stages.build(total={"seconds": 0.01})
    assert states(stages.run(tmp_path, changed, only=["Total"])) == {"Numbers": SKIPPED, "Total": RAN}
    done = stages.run(tmp_path, changed, only=["Total", "Verdict"])
    assert states(done) == {"Numbers": SKIPPED, "Total": SKIPPED, "Verdict": SKIPPED}
    assert states(stages.run(tmp_path, changed, only=["Total"], force=["Total"]))["Total"] == RAN


def test_a_stage_whose_inputs_are_missing_says_what_to_run(tmp_path):
    with pytest.raises(UserError, match=r"^--only needs the outputs of Numbers, which has not finished here yet: .*"):
        stages.run(tmp_path, stages.build(), only=["Total"])
    stages.run(tmp_path, stages.build(), until_stage="Numbers")
    with pytest.raises(UserError, match=r"outputs of Total, .* run without --only, or first with --until Total\.$"):
        stages.run(tmp_path, stages.build(), only=["Verdict"])
    (file,) = (tmp_path / "artifacts" / "Numbers").rglob("numbers.txt")
    file.unlink()
    with pytest.raises(UserError, match="outputs of Numbers, which are missing or altered"):
        stages.run(tmp_path, stages.build(), only=["Total"])


@pytest.mark.parametrize("flags", [{"from_stage": "Verdict"}, {"only": ["Verdict"]}])
def test_outputs_of_another_config_do_not_take_the_place_of_altered_ones(tmp_path, flags):
    stages.run(tmp_path, stages.build())
    changed = stages.build(numbers={"count": 9})
    first = stages.run(tmp_path, changed)["Total"]
    again = stages.run(tmp_path, changed, force=["Total"])["Total"]
    (again.outputs["model"].folder / "total.json").unlink()
    done = stages.run(tmp_path, changed, **flags)
    assert done["Total"].outputs["model"].uri == first.outputs["model"].uri, "The same config wrote the same."
    (first.outputs["model"].folder / "total.json").unlink()
    with pytest.raises(UserError, match="needs the outputs of Total, which are missing or altered: run without --"):
        stages.run(tmp_path, changed, **flags)


def test_a_plan_says_the_same(tmp_path):
    stages.run(tmp_path, stages.build())
    root = Root(epath.Path(tmp_path))
    store = MetadataStore(root.metadata_uri(), pipeline="test", root=root.path, read_only=True)
    planned = plan.make(stages.build(total={"seconds": 0.01}), store=store, only=["Total"])
    assert {stage.stage: (stage.outcome, stage.why) for stage in planned.stages} == {
        "Numbers": ("skipped", "reused unchecked, because --only does not name it"),
        "Census": ("not run", "excluded by --only"),
        "Total": ("runs", "config.seconds 0.0 -> 0.01"),
        "Verdict": ("not run", "excluded by --only"),
    }


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        ({"only": ["Totel"]}, "--only Totel: there is no such stage in this pipeline; did you mean Total?"),
        ({"only": ["Total"], "until_stage": "Verdict"}, "--until Verdict others: leave out one of the two"),
        ({"only": ["Total"], "from_stage": "Total"}, "--from Total others: leave out one of the two"),
        ({"only": ["Total"], "force": ["Verdict"]}, "--only leaves out Verdict, which --force asks for"),
    ],
)
def test_flags_that_contradict_it_are_refused(tmp_path, flags, message):
    with pytest.raises(UserError, match=message.replace("?", r"\?")):
        stages.run(tmp_path, stages.build(), **flags)
