"""A run that ends early says which flags continue it, where its own would run finished stages once more."""

import re

import pytest

from pipeline.metadata.executions import State
from pipeline.runner import interrupts
from tests.pipeline.runner import stages

RAN, SKIPPED = State.COMPLETE, State.CACHED


@pytest.fixture
def root(tmp_path):
    stages.run(tmp_path, stages.build())
    return tmp_path


def stop_in(monkeypatch, component):
    def stop(self, *, inputs, outputs, context):
        raise interrupts.Interrupted(interrupts.signal.SIGINT)

    monkeypatch.setattr(component, "execute", stop)


def flags_in(hint):
    """Returns the flags that a hint tells the user to give, as arguments of a run."""
    proposed = hint.partition("in place of")[0] if "in place of" in hint else ""
    return {
        "force": re.findall(r"--force (\w+)", proposed),
        "from_stage": next(iter(re.findall(r"--from (\w+)", proposed)), None),
    }


@pytest.mark.parametrize(
    ("flags", "stopped_in", "hint", "ran"),
    [
        (
            {"from_stage": "Total"},
            stages.Verdict,
            "To continue, give --from Verdict in place of --from Total: Total finished, and would run again.",
            {"Verdict"},
        ),
        (
            {"from_stage": "Numbers"},
            stages.Total,
            "To continue, give --from Total in place of --from Numbers: Numbers and Census finished, and would run "
            "again.",
            {"Total", "Verdict"},
        ),
        (
            {"from_stage": "Numbers", "until_stage": "Total", "force": ["Numbers"]},
            stages.Total,
            "To continue, give --from Total in place of --force Numbers --from Numbers: Numbers finished, and would "
            "run again.",
            {"Total"},
        ),
        (
            {"from_stage": "Numbers"},
            stages.Census,
            "To continue, give --from Census --force Total --force Verdict in place of --from Numbers: Numbers "
            "finished, and would run again.",
            {"Census", "Total", "Verdict"},
        ),
        (
            {"force": ["Numbers", "Verdict"]},
            stages.Verdict,
            "To continue, give --force Verdict in place of --force Numbers --force Verdict: Numbers finished, and "
            "would run again.",
            {"Verdict"},
        ),
    ],
)
def test_the_flags_that_it_names_run_the_rest(root, monkeypatch, capsys, flags, stopped_in, hint, ran):
    stop_in(monkeypatch, stopped_in)
    with pytest.raises(interrupts.Interrupted):
        stages.run(root, stages.build(), **flags)
    assert hint in capsys.readouterr().out.splitlines()
    monkeypatch.undo()
    done = stages.run(root, stages.build(), **flags_in(hint), until_stage=flags.get("until_stage"))
    assert {name for name, execution in done.items() if execution.state == RAN} == ran


def test_stages_before_from_stay_as_they_are(root, monkeypatch, capsys):
    """Though their config has changed: the flags continue a run that did not ask for that."""
    changed = stages.build(numbers={"count": 9})
    stop_in(monkeypatch, stages.Verdict)
    with pytest.raises(interrupts.Interrupted):
        stages.run(root, changed, from_stage="Total")
    (hint,) = re.findall("^To continue, .*", capsys.readouterr().out, re.MULTILINE)
    monkeypatch.undo()
    done = stages.run(root, changed, **flags_in(hint))
    assert {name for name, execution in done.items() if execution.state == RAN} == {"Verdict"}


def test_a_flag_whose_stages_have_all_finished_is_left_out(root, monkeypatch, capsys):
    stop_in(monkeypatch, stages.Verdict)
    numbers = {"count": 4}
    with pytest.raises(interrupts.Interrupted):
        stages.run(root, stages.build(numbers=numbers), force=["Total"])
    hint = "To continue, leave out --force Total: Total finished, and would run again."
    assert hint in capsys.readouterr().out.splitlines()
    monkeypatch.undo()
    done = stages.run(root, stages.build(numbers=numbers))
    assert {name: execution.state for name, execution in done.items()} == {
        "Numbers": SKIPPED,
        "Census": SKIPPED,
        "Total": SKIPPED,
        "Verdict": RAN,
    }


@pytest.mark.parametrize("flags", [{}, {"force": ["Verdict"]}, {"from_stage": "Verdict"}])
def test_nothing_is_said_where_the_same_command_continues(root, monkeypatch, capsys, flags):
    stop_in(monkeypatch, stages.Verdict)
    with pytest.raises(interrupts.Interrupted):
        stages.run(root, stages.build(total={"seconds": 0.01} if not flags else {}, numbers={"count": 4}), **flags)
    assert "To continue" not in capsys.readouterr().out
