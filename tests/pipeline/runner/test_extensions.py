"""A stage goes on from a finished execution that did less of the same."""

import json
import os
import pathlib

import pydantic
import pytest
from etils import epath

from components.base import ArtifactType, Component, StageConfig, StageResult
from pipeline.lineage import comparison
from pipeline.metadata.executions import State
from pipeline.metadata.store import MetadataStore
from pipeline.root import Root
from pipeline.runner import plan
from pipeline.runner.graph import Pipeline
from tests.pipeline.runner import stages

RAN, SKIPPED = State.COMPLETE, State.CACHED


class Counting(Component):
    """Counts to a number, from where the execution that it extends has ended."""

    class Config(StageConfig):
        steps: int = pydantic.Field(3, description="Where to.")
        seed: int = pydantic.Field(0, description="Any.")
        fail: bool = pydantic.Field(False, description="Whether it fails.")
        incidental = frozenset({"fail"})

    outputs = {"model": ArtifactType.MODEL}

    can_extend = True

    def extends(self, config, *, outputs):
        is_shorter = config["steps"] < self.config.steps and config["seed"] == self.config.seed
        return config["steps"] if is_shorter else 0

    def execute(self, *, inputs, outputs, context):
        assert context.extended is not None
        first = json.loads((context.extended["model"] / "count.json").read_text()) if context.extended else 0
        if self.config.fail:
            raise RuntimeError("it broke")
        (outputs["model"] / "count.json").write_text(json.dumps(self.config.steps))
        return StageResult(summary=f"from {first} to {self.config.steps}")


class Onward(Counting):
    """Counts to a number, and reads numbers, too."""

    inputs = {"examples": ArtifactType.EXAMPLES}


def build(**config):
    pipeline = Pipeline()
    pipeline.add(Counting(Counting.Config(**config)))
    return pipeline


def run(folder, *, flags=None, **config):
    return stages.run(folder, build(**config), **(flags or {}))["Counting"]


def test_more_steps_go_on_and_the_same_again_is_skipped(tmp_path):
    first = run(tmp_path, steps=3)
    more = run(tmp_path, steps=5)
    assert (more.summary, more.state) == ("from 3 to 5", RAN)
    assert more.why.startswith("config.steps 3 -> 5; goes on from the end of that of 20")
    assert run(tmp_path, steps=5).state == SKIPPED
    assert run(tmp_path, steps=3).state == SKIPPED
    assert more.cache_key.digest != first.cache_key.digest
    assert more.cache_key.extended == first.cache_key.digest
    assert run(tmp_path / "fresh", steps=5).cache_key.digest != more.cache_key.digest, "They are not the same training."


def test_what_must_not_extend_starts_anew_also_beside_one_that_did(tmp_path, monkeypatch):
    run(tmp_path, steps=3)
    assert run(tmp_path, steps=5).summary == "from 3 to 5"
    monkeypatch.setattr(Counting, "can_extend", False)
    anew = run(tmp_path, steps=5)
    assert (anew.summary, anew.state, anew.cache_key.extended) == ("from 0 to 5", RAN, "")
    assert anew.why.endswith("which is missing, altered or not to be extended")
    assert run(tmp_path, steps=5).state == SKIPPED


def test_the_furthest_is_extended_and_what_it_was_is_found_again(tmp_path):
    for steps, summary in ((3, "from 0 to 3"), (9, "from 3 to 9"), (6, "from 3 to 6"), (12, "from 9 to 12")):
        assert run(tmp_path, steps=steps).summary == summary
    for steps in (3, 9, 6, 12):
        assert run(tmp_path, steps=steps).state == SKIPPED
    assert run(tmp_path, steps=12, seed=1).summary == "from 0 to 12"


def test_one_that_failed_goes_on_from_where_it_began(tmp_path):
    run(tmp_path, steps=3)
    with pytest.raises(RuntimeError):
        run(tmp_path, steps=9, fail=True)
    run(tmp_path, steps=6)
    assert run(tmp_path, steps=9).summary == "from 3 to 9"


def test_force_starts_anew_and_what_is_damaged_is_not_extended(tmp_path):
    run(tmp_path, steps=3)
    assert run(tmp_path, steps=5, flags={"force": ["Counting"]}).summary == "from 0 to 5"
    assert run(tmp_path, steps=5).state == SKIPPED
    for file in pathlib.Path(tmp_path, "artifacts").rglob("count.json"):
        os.truncate(file, 0)
    assert run(tmp_path, steps=9).summary == "from 0 to 9"


def test_an_extension_whose_outputs_and_source_are_gone_starts_anew(tmp_path):
    run(tmp_path, steps=3)
    run(tmp_path, steps=5)
    for file in pathlib.Path(tmp_path, "artifacts").rglob("count.json"):
        file.unlink()
    anew = run(tmp_path, steps=5)
    assert anew.summary == "from 0 to 5"
    assert anew.why == "the last one went on from an earlier one, which is missing, altered or not to be extended"


def test_a_comparison_takes_no_extension_for_other_data(tmp_path):
    first, more = run(tmp_path, steps=3), run(tmp_path, steps=5)
    assert comparison.summary({"Counting": first}, {"Counting": more}) == ["counting.steps 3 -> 5"]


def test_a_plan_and_the_lineage_say_it(tmp_path):
    first = run(tmp_path, steps=3)
    root = Root(epath.Path(tmp_path))
    store = MetadataStore(root.metadata_uri(), pipeline="test", root=root.path, read_only=True)
    (planned,) = plan.make(build(steps=5), store=store).stages
    assert planned.outcome == "runs"
    assert "config.steps 3 -> 5; goes on from the end of that of" in planned.why
    more = run(tmp_path, steps=5)
    events = store._records.events([more.id])
    read = {event.channel: event.artifact.id for event in events if not event.output}
    assert read == {"extended_model": first.outputs["model"].id}


@pytest.mark.parametrize(("count", "state"), [(3, SKIPPED), (4, RAN)])
def test_a_plan_leaves_open_what_the_stage_before_will_write_decides(tmp_path, count, state):
    def build(count, *, steps):
        pipeline = Pipeline()
        examples = pipeline.add(stages.Numbers(stages.Numbers.Config(count=count)))["examples"]
        pipeline.add(Onward(Onward.Config(steps=steps)), examples=examples)
        return pipeline

    stages.run(tmp_path, build(3, steps=3))
    assert stages.run(tmp_path, build(3, steps=5))["Onward"].summary == "from 3 to 5"
    root = Root(epath.Path(tmp_path))
    store = MetadataStore(root.metadata_uri(), pipeline="test", root=root.path, read_only=True)
    planned = plan.make(build(count, steps=5), store=store, force=["Numbers"]).stages[1]
    assert planned.outcome == "depends"
    assert planned.why == "runs if what Numbers will write differs from what it read before"
    assert stages.run(tmp_path, build(count, steps=5), force=["Numbers"])["Onward"].state == state
    assert plan.make(build(count, steps=7), store=store, force=["Numbers"]).stages[1].outcome == "runs"
