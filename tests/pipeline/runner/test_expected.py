"""What the last run tells of the next one: time and cost, before the stage starts and in a plan."""

import contextlib
import dataclasses
import io
import itertools
import types

import pydantic
import pytest
from etils import epath
from rich.console import Console

from components.base import ArtifactType, Component, StageConfig, StageResult
from components.trainer import Trainer
from components.trainer.loop import Outcome
from pipeline.console import plan as plan_table
from pipeline.console import progress
from pipeline.console.progress import StageProgress
from pipeline.metadata.store import MetadataStore
from pipeline.root import Root
from pipeline.runner import plan, stage_runner
from pipeline.runner.graph import Pipeline
from pipeline.runner.supervision import Supervision
from tests.pipeline.runner import stages


class Steps(Component):
    """Does steps."""

    class Config(StageConfig):
        steps: int = pydantic.Field(100, description="Number of steps.")
        seed: int = pydantic.Field(0, description="Any.")
        fail: bool = pydantic.Field(False, description="Whether it fails.")
        goes_on: bool = pydantic.Field(False, description="Whether it extends a shorter one.")
        incidental = frozenset({"fail", "goes_on"})

    outputs = {"model": ArtifactType.MODEL}
    amount = "steps"

    can_extend = True

    def extends(self, config, *, outputs):
        return config["steps"] if self.config.goes_on and config["steps"] < self.config.steps else 0

    def execute(self, *, inputs, outputs, context):
        (outputs["model"] / "steps").write_text(str(self.config.steps))
        if self.config.fail:
            raise RuntimeError("it broke")
        return StageResult(summary="done", figures={"steps": self.config.steps})


def build(**config):
    pipeline = Pipeline()
    pipeline.add(Steps(Steps.Config(**config)))
    return pipeline


def open_store(folder):
    root = Root(epath.Path(folder))
    return MetadataStore(root.metadata_uri(), pipeline="test", root=root.path)


def ran(folder, *, seconds, unit_s=6.0, **config):
    """Runs the stage. Its runner finds that it took `seconds`, and its progress that a step took `unit_s`."""
    clock = types.SimpleNamespace(monotonic=itertools.count(0, seconds).__next__)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(stage_runner, "time", clock)
        patch.setattr(StageProgress, "seconds_per_unit", unit_s)
        with pytest.raises(RuntimeError) if config.get("fail") else contextlib.nullcontext():
            stages.run(folder, build(**config))


def expected(folder, *, hourly_cost=None, **config):
    (stage,) = plan.make(build(**config), store=open_store(folder)).stages
    assert stage.outcome == "runs"
    return None if stage.expected is None else stage.expected.with_cost(hourly_cost)


def test_of_a_first_run_nothing_is_known(tmp_path):
    assert expected(tmp_path) is None
    ran(tmp_path, seconds=600, fail=True)
    assert expected(tmp_path) is None


def test_another_config_may_take_as_long_as_the_last(tmp_path):
    ran(tmp_path, seconds=600)
    assert expected(tmp_path, seed=1) == "took 10 min 00 s when it last ran"
    assert expected(tmp_path, seed=1, steps=200) == "took 10 min 00 s when it last ran"
    assert expected(tmp_path, seed=1, hourly_cost=8.5) == (
        "took 10 min 00 s when it last ran; costs about 1.42 at 8.5 an hour"
    )


def test_the_time_grows_with_the_steps_if_nothing_else_changes(tmp_path):
    ran(tmp_path, seconds=600)
    assert expected(tmp_path, steps=6000, hourly_cost=8.5) == (
        "about 10 h 00 min for 6,000 steps, as 100 took 10 min 00 s; costs about 85.00 at 8.5 an hour"
    )
    assert expected(tmp_path, steps=10).startswith("about 1 min 00 s for 10 steps")


def test_what_a_stage_does_besides_its_steps_does_not_grow(tmp_path):
    ran(tmp_path, seconds=60, unit_s=0.5, steps=2)
    said = expected(tmp_path, steps=6000, hourly_cost=8.0)
    assert said == "about 50 min 59 s for 6,000 steps, as 2 took 1 min 00 s; costs about 6.80 at 8 an hour"
    assert expected(tmp_path, steps=1).startswith("about 1 min 00 s for 1 step, as 2 took")


def test_nothing_is_said_if_the_steps_alone_are_unknown(tmp_path):
    ran(tmp_path, seconds=60, unit_s=None, steps=1)
    assert expected(tmp_path, steps=6000) is None
    assert expected(tmp_path, steps=1, seed=1) == "took 1 min 00 s when it last ran"


def test_a_unit_takes_the_time_between_the_reports(monkeypatch):
    shown = StageProgress("Steps", console=Console(file=io.StringIO()), bar=None)
    for now, done in ((100.0, 1), (103.0, 2), (110.0, 6)):
        assert shown.seconds_per_unit == (None if done < 6 else 3.0)
        monkeypatch.setattr(progress.time, "monotonic", lambda now=now: now)
        shown.update(done, total=9, unit="steps")
    assert shown.seconds_per_unit == 2.0


def test_only_the_steps_that_are_left_take_time(tmp_path):
    ran(tmp_path, seconds=600)
    assert expected(tmp_path, steps=160, goes_on=True).startswith("about 6 min 00 s for 60 steps, as 100 took")
    ran(tmp_path, seconds=300, unit_s=5.0, steps=160, goes_on=True)
    assert expected(tmp_path, steps=220, goes_on=True).startswith("about 5 min 00 s for 60 steps, as 60 took 5 min")
    assert expected(tmp_path, steps=120).startswith("about 10 min 00 s for 120 steps, as 60 took 5 min")


def test_attempts_that_were_continued_count(tmp_path):
    ran(tmp_path, seconds=240, fail=True)
    ran(tmp_path, seconds=60, seed=1, fail=True)
    ran(tmp_path, seconds=360)
    assert expected(tmp_path, seed=2) == "took 10 min 00 s when it last ran, in 2 attempts"
    ran(tmp_path, seconds=0, seed=2, fail=True)  # As if it was killed.
    ran(tmp_path, seconds=60, seed=2)
    assert expected(tmp_path, seed=3) == "took at least 1 min 00 s when it last ran, in 2 attempts"
    stages.run(tmp_path, build(), force=["Steps"])
    assert expected(tmp_path, seed=3).endswith("when it last ran")


def test_a_run_says_it_before_a_long_stage(tmp_path, capsys):
    ran(tmp_path, seconds=600)
    capsys.readouterr()
    stages.run(tmp_path, build(seed=1), supervision=Supervision(hourly_costs={"Steps": 6.0}))
    said, starts, *_ = capsys.readouterr().out.splitlines()
    assert said == "Steps: took 10 min 00 s when it last ran; costs about 1.00 at 6 an hour"
    assert starts == "Steps: runs, config.seed 0 -> 1"
    stages.run(tmp_path, build(seed=2))
    assert "when it last ran" not in capsys.readouterr().out, "It took no time."


def test_a_plan_shows_it(tmp_path):
    def table():
        out = io.StringIO()
        made = plan.make(build(seed=1), store=open_store(tmp_path))
        plan_table.show(made, Console(file=out, width=100), preset="tiny", hourly_costs={"Steps": 6.0})
        return out.getvalue()

    assert "What has not finished here yet is estimated in the run, after a minute of its work." in table()
    ran(tmp_path, seconds=600)
    assert "│ took 10 min 00 s when it last ran; costs about 1.00 at 6 an hour" in table()
    assert "What has not finished here" not in table()


def test_a_stage_that_may_run_has_it_too(tmp_path):
    stages.run(tmp_path, stages.build(total={"seconds": 0.1}))
    made = plan.make(stages.build(numbers={"count": 4}, total={"seconds": 0.1}), store=open_store(tmp_path))
    known = {stage.stage: stage.expected.sentence for stage in made.stages if stage.outcome == "depends"}
    assert known["Total"].endswith("when it last ran")


def test_the_amount_of_a_training_is_a_field_and_a_figure():
    assert Trainer.amount in Trainer.Config.model_fields
    assert Trainer.amount in {field.name for field in dataclasses.fields(Outcome)}
