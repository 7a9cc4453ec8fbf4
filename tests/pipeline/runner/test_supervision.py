"""Retries, time limits and alarms of real stages."""

import errno
import json
import re
import signal
import subprocess
import sys
import threading
import time

import pytest
from etils import epath

from components.base import ArtifactType, Component, StageConfig, StageResult
from components.errors import UserError
from pipeline.metadata.executions import State
from pipeline.metadata.store import MetadataStore
from pipeline.root import Root
from pipeline.runner import retries, supervision, time_limits
from pipeline.runner.graph import Pipeline
from pipeline.runner.supervision import Supervision
from tests.pipeline.runner import stages


class Flaky(Component):
    """Fails until its work folder has been visited often enough."""

    outputs = {"model": ArtifactType.MODEL}
    failures = 2
    error: Exception = ConnectionResetError(104, "Connection reset by peer")

    class Config(StageConfig):
        pass

    def execute(self, *, inputs, outputs, context):
        visits = context.work_dir / "visits"
        count = len(visits.read_text()) if visits.exists() else 0
        visits.write_text("x" * (count + 1))
        (outputs["model"] / "half").write_text("x")
        if count < self.failures:
            raise self.error
        return StageResult(summary=f"after {count} failures")


def run(folder, *, failures=2, error=None, retries=0):
    stage = Flaky()
    stage.failures, stage.error = failures, error or Flaky.error
    pipeline = Pipeline()
    pipeline.add(stage)
    return stages.run(folder, pipeline, supervision=Supervision(retries=retries))["Flaky"]


def executions(folder):
    root = Root(epath.Path(folder))
    return MetadataStore(root.metadata_uri(), pipeline="test", root=root.path).executions(stage="Flaky")


@pytest.fixture(autouse=True)
def _short_delays(monkeypatch):
    monkeypatch.setattr(retries, "FIRST_DELAY_S", 0.01)


def test_a_stage_runs_again_in_its_work_folder_and_each_attempt_is_recorded(tmp_path, capsys):
    done = run(tmp_path, retries=2)
    assert (done.summary, done.why) == ("after 2 failures", "retry 2 of 2")
    recorded = [(each.state, each.why, each.summary) for each in executions(tmp_path)]
    failed = "ConnectionResetError: [Errno 104] Connection reset by peer"
    assert recorded == [
        (State.FAILED, "first run", failed),
        (State.FAILED, "retry 1 of 2", failed),
        (State.COMPLETE, "retry 2 of 2", "after 2 failures"),
    ]
    lines = [line for line in capsys.readouterr().out.splitlines() if "this may pass" in line]
    assert len(lines) == 2
    assert lines[0].startswith(f"Flaky: failed ({failed}); this may pass, so it runs again in 0.0 s")
    published = [path.name for path in (tmp_path / "artifacts" / "Flaky" / "model").iterdir() if path.is_dir()]
    assert published == [str(done.id)], "Nothing of the failed attempts is left."


def test_a_retry_asks_the_user_for_nothing(tmp_path, capsys):
    told = UserError("/nfs/x cannot be used (stale file handle): check the disk, and run the same command again.")
    told.__cause__ = OSError(errno.ESTALE, "Stale file handle", "/nfs/x")
    run(tmp_path, failures=1, error=told, retries=1)
    assert "Flaky: failed (stale file handle); this may pass, so it runs again in" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("flags", "error", "attempts"),
    [
        ({"retries": 1}, None, 2),
        ({}, None, 1),
        ({"retries": 5}, UserError("flaky.x is wrong."), 1),
        ({"retries": 5}, ValueError("a bug"), 1),
    ],
)
def test_what_does_not_pass_is_raised(tmp_path, flags, error, attempts):
    with pytest.raises(type(error) if error else ConnectionResetError):
        run(tmp_path, error=error, **flags)
    assert len(executions(tmp_path)) == attempts


def test_delays_grow_and_have_an_end(monkeypatch):
    monkeypatch.setattr(retries, "FIRST_DELAY_S", 10.0)
    delays = [retries._delay_s(number) for number in range(1, 12)]
    for delay, expected in zip(delays, [10, 30, 90, 270, *[300] * 7], strict=True):
        assert 0.8 * expected <= delay <= 1.2 * expected


PROGRAM = """
import sys
from pipeline.runner import interrupts
from pipeline.runner.supervision import Supervision
from tests.pipeline.runner import stages
supervision = Supervision(minutes={"Total": float(sys.argv[2])})
try:
    done = stages.run(sys.argv[1], stages.build(total={"seconds": float(sys.argv[3])}), supervision=supervision)
    print(done["Total"].summary)
except interrupts.Interrupted as interrupt:
    print(interrupt.message)
    sys.exit(interrupt.exit_status)
"""


def run_program(root, *, minutes, seconds):
    words = [sys.executable, "-c", PROGRAM, str(root), str(minutes), str(seconds)]
    return subprocess.run(words, capture_output=True, text=True)


def test_a_stage_over_its_limit_is_stopped_and_the_same_command_continues(tmp_path):
    stopped = run_program(tmp_path, minutes=0.5 / 60, seconds=1.0)
    assert stopped.returncode == 128 + signal.SIGTERM, stopped.stderr
    sentence = (
        "Total has reached its limit of 0.5 s (--time-limit): nothing incomplete was published, and the same command "
        "continues from here."
    )
    assert stopped.stdout.splitlines()[-1] == sentence
    root = Root(epath.Path(tmp_path))
    store = MetadataStore(root.metadata_uri(), pipeline="test", root=root.path)
    (execution,) = store.executions(stage="Total")
    assert (execution.state, execution.summary) == (State.CANCELED, f"stopped: {sentence}")
    assert not list((tmp_path / "artifacts" / "Total").rglob("total.json"))
    done = stages.run(tmp_path, stages.build(total={"seconds": 1.0}))["Total"]
    assert done.why == "interrupted last time"
    assert done.figures["first"] >= 5


def test_a_limit_that_ends_with_its_stage_stops_nothing_thereafter(monkeypatch):
    stopped, timers = [], []
    monkeypatch.setattr("pipeline.runner.interrupts.stop", stopped.append)

    class Timer(threading.Timer):
        def __init__(self, *args):
            super().__init__(*args)
            timers.append(self)

    monkeypatch.setattr(time_limits.threading, "Timer", Timer)
    with time_limits.limited("Total", minutes=60):
        timers[0].function(*timers[0].args)
    assert len(stopped) == 1
    with time_limits.limited("Total", minutes=60):
        pass
    timers[1].function(*timers[1].args)  # As in a thread that `cancel` came too late for.
    assert len(stopped) == 1


class Stalls(Component):
    """Reports progress, waits, and reports again."""

    outputs = {"model": ArtifactType.MODEL}

    def execute(self, *, inputs, outputs, context):
        context.progress.update(3, total=10, unit="steps")
        time.sleep(0.5)
        context.progress.update(3, total=10, unit="steps")  # No progress.
        time.sleep(0.2)
        context.progress.update(4, total=10, unit="steps")
        return StageResult(summary="done")


def test_a_stall_is_said_on_the_terminal_and_in_the_overview(tmp_path, capsys, monkeypatch):
    texts = []
    monkeypatch.setattr("pipeline.event_file.write_texts", lambda folder, pages, **_: texts.append(dict(pages)))
    pipeline = Pipeline()
    pipeline.add(Stalls())
    stages.run(tmp_path, pipeline, supervision=Supervision(stall_minutes=0.2 / 60))
    printed = capsys.readouterr().out
    said = re.findall(r"^Stalls: no progress for 0\.\d s, since 3/10 steps; .*$", printed, re.MULTILINE)
    assert len(said) == 2, "It is said again after twice as long."
    assert re.search(r"^Stalls: goes on after 0\.\d s without progress, at 4/10 steps$", printed, re.MULTILINE)
    last = json.dumps(texts[-1])
    assert "finished" in last
    assert last.count("no progress for") == 2


def test_a_stage_that_goes_on_raises_no_alarm(tmp_path, capsys):
    stages.run(tmp_path, stages.build(total={"seconds": 0.6}), supervision=Supervision(stall_minutes=0.3 / 60))
    assert "no progress" not in capsys.readouterr().out


@pytest.mark.parametrize(
    ("flags", "sentence"),
    [
        ({"retries": -1}, "--retries -1: give 0 for none"),
        ({"stall_minutes": float("nan")}, "--stall-alarm nan: give a number of minutes"),
        ({"time_limits": ["Total"]}, "--time-limit Total: write it as STAGE=MINUTES"),
        ({"time_limits": ["Total=0"]}, "--time-limit Total=0: write it as"),
        (
            {"time_limits": ["Totel=3"]},
            "--time-limit Totel: there is no such stage in this pipeline; did you mean",
        ),
        ({"hourly_costs": ["Total=inf"]}, "--hourly-cost Total=inf: write it as STAGE=COST"),
    ],
)
def test_flags_that_make_no_sense_are_one_sentence(flags, sentence):
    given = {"retries": 0, "time_limits": (), "stall_minutes": 0.0, "hourly_costs": (), **flags}
    with pytest.raises(UserError) as refused:
        supervision.parse(stages.build(), **given)
    assert str(refused.value).startswith(sentence)


@pytest.mark.parametrize(
    ("flags", "sentence"),
    [
        ({"stall_minutes": -1.0}, "--stall-alarm -1: give a number of minutes"),
        ({"hourly_cost": 0.0}, "--hourly-cost 0: give a number above 0"),
        ({"hourly_cost": float("inf")}, "--hourly-cost inf: give a number above 0"),
    ],
)
def test_flags_of_a_command_for_one_stage_that_make_no_sense_are_one_sentence(flags, sentence):
    with pytest.raises(UserError) as refused:
        supervision.of_one("Total", **{"stall_minutes": 0.0, "hourly_cost": None, **flags})
    assert str(refused.value).startswith(sentence)


def test_flags_name_stages_as_people_write_them():
    parsed = supervision.parse(
        stages.build(), retries=3, time_limits=["total=1.5", "Numbers=9"], stall_minutes=0, hourly_costs=["TOTAL=8"]
    )
    assert parsed == Supervision(retries=3, minutes={"Total": 1.5, "Numbers": 9.0}, hourly_costs={"Total": 8.0})
