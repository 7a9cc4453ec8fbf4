"""The version of a component and its libraries decide; a change of its code is only said."""

import importlib.metadata

import pytest

from pipeline.metadata.executions import State
from pipeline.runner import code, interrupts
from tests.pipeline.runner import gated_stages, stages

RAN, SKIPPED = State.COMPLETE, State.CACHED


@pytest.fixture
def change_code(monkeypatch):
    """Returns a function that gives the code of all stages another digest."""

    def change(digest):
        monkeypatch.setattr(code, "digests", lambda component: {"stages.py": digest, "other.py": "same"})

    change("before")
    return change


def test_a_change_of_code_is_said_until_the_stage_runs(tmp_path, change_code, capsys):
    stages.run(tmp_path, stages.build())
    change_code("after")
    for _ in range(2):
        done = stages.run(tmp_path, stages.build())
        assert {execution.state for execution in done.values()} == {SKIPPED}
        said = "code changed since; --force Total to rerun (stages.py changed)"
        assert said in done["Total"].why
        assert said in capsys.readouterr().out
    assert stages.run(tmp_path, stages.build(), force=["Total"])["Total"].state == RAN
    assert "nothing changed since" in stages.run(tmp_path, stages.build())["Total"].why


def test_a_change_of_code_continues_an_interrupted_stage(tmp_path, change_code, monkeypatch):
    monkeypatch.setattr(gated_stages.Training, "interrupted_after", 1)
    with pytest.raises(interrupts.Interrupted):
        stages.run(tmp_path, gated_stages.build())
    monkeypatch.setattr(gated_stages.Training, "interrupted_after", None)
    change_code("after")
    done = stages.run(tmp_path, gated_stages.build())
    assert done["Training"].summary == "from step 1"
    assert done["Training"].why == "interrupted last time; code changed since (stages.py changed)"


def test_another_version_runs_the_stage_again(tmp_path, monkeypatch):
    stages.run(tmp_path, stages.build())
    monkeypatch.setattr(stages.Total, "version", 2)
    done = stages.run(tmp_path, stages.build())
    assert (done["Total"].state, done["Total"].why) == (RAN, "version 1 -> 2 of Total")
    assert done["Verdict"].state == SKIPPED


def test_another_library_runs_the_stages_that_declare_it(tmp_path, monkeypatch):
    monkeypatch.setattr(stages.Total, "libraries", ("tensorflow",))
    monkeypatch.setattr(importlib.metadata, "version", lambda name: "2.17.1")
    stages.run(tmp_path, stages.build())
    monkeypatch.setattr(importlib.metadata, "version", lambda name: "2.18.0")
    done = stages.run(tmp_path, stages.build())
    assert (done["Total"].state, done["Total"].why) == (RAN, "tensorflow 2.17.1 -> 2.18.0")
    assert done["Numbers"].state == SKIPPED
