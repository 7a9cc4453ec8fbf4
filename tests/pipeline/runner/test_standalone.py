import contextlib
import dataclasses
import json
import time

import pytest
from etils import epath

from components.base import StageResult
from components.errors import UserError
from components.trainer import TrainerConfig
from pipeline import cli, lease
from pipeline.console.progress import Display
from pipeline.runner import standalone
from tests import leases
from tests.bucket import Bucket
from tests.components import stored_examples


@pytest.fixture
def begun(tmp_path):
    """Returns a function that makes `tmp_path` the output of a training that has begun with some precision."""

    def begin(precision):
        clips = {"train": [(stored_examples.sound(0), (), 0)]}
        stored_examples.write_examples(tmp_path / "examples", clips)
        (tmp_path / "work" / "checkpoints" / "00000002").mkdir(parents=True)
        config = TrainerConfig(precision=precision).deciding()
        (tmp_path / "config.json").write_text(json.dumps({"examples": str(tmp_path / "examples"), "trainer": config}))

    return begin


def train(folder, output=None):
    standalone.train(
        TrainerConfig(), examples=str(folder / "examples"), output=str(output or folder), display=Display()
    )


def test_a_training_is_not_continued_in_another_precision(tmp_path, begun, monkeypatch):
    begun("float32")
    monkeypatch.setenv("TPU_NAME", "local")  # precision=auto now means bfloat16.
    with pytest.raises(UserError, match="holds a training with another config or other examples"):
        train(tmp_path)


@pytest.mark.parametrize("command", ["train", "run-component"])
def test_the_commands_for_one_stage_take_its_alarm_and_its_cost(tmp_path, begun, monkeypatch, command):
    shown = []

    @contextlib.contextmanager
    def stage(display, name, **options):
        shown.append((name, options))
        yield

    monkeypatch.setattr(Display, "stage", stage)
    begun("float32")
    result = StageResult(summary="done")
    monkeypatch.setattr(standalone.Trainer, "execute", lambda trainer, **_: result)
    folders = {name: str(tmp_path / "outputs" / name) for name in ("model", "model_run")}
    words = {
        "train": ["--preset", "small", "--examples", str(tmp_path / "examples"), "--output", str(tmp_path / "trained")],
        "run-component": ["Trainer", "--input", "examples", str(tmp_path / "examples")]
        + [word for name, folder in folders.items() for word in ("--output", name, folder)],
    }[command]
    assert cli.main([command, *words, "--stall-alarm", "30", "--hourly-cost", "8.5"]) == 0
    assert shown == [("Trainer", {"stall_s": 1800.0, "hourly_cost": 8.5})]


def test_a_training_of_an_earlier_version_that_recorded_auto_is_continued(tmp_path, begun, monkeypatch):
    begun("auto")
    result = StageResult(summary="continued")
    monkeypatch.setattr(standalone.Trainer, "execute", lambda trainer, **_: result)
    train(tmp_path)


@pytest.mark.parametrize(("steps", "goes_on"), [(400_001, True), (399_999, False)])
def test_a_training_goes_on_to_more_steps_and_not_to_fewer(tmp_path, begun, monkeypatch, steps, goes_on):
    begun("float32")
    monkeypatch.setattr(standalone.Trainer, "execute", lambda trainer, **_: StageResult(summary="continued"))
    config = TrainerConfig(steps=steps)

    def train_on():
        standalone.train(config, examples=str(tmp_path / "examples"), output=str(tmp_path), display=Display())

    if not goes_on:
        with pytest.raises(UserError, match="holds a training with another config"):
            train_on()
        return
    train_on()
    assert json.loads((tmp_path / "config.json").read_text())["trainer"]["steps"] == steps


def test_a_training_that_must_not_extend_takes_no_folder_of_a_shorter_one(tmp_path, begun, monkeypatch):
    begun("float32")
    monkeypatch.setattr(standalone.Trainer, "execute", lambda trainer, **_: StageResult(summary="continued"))

    def train_on(steps):
        config = TrainerConfig(steps=steps, extend=False)
        standalone.train(config, examples=str(tmp_path / "examples"), output=str(tmp_path), display=Display())

    with pytest.raises(UserError, match="with fewer steps, and trainer.extend=false: name another folder"):
        train_on(400_001)
    train_on(400_000)  # What was stopped goes on.


class TestRemoteOutput:
    """The machine that writes leases it, as a run leases its root."""

    OUTPUT = "gs://bucket/training"

    @pytest.fixture
    def lease_of_another(self, tmp_path, begun, monkeypatch):
        """Returns a function that writes the lease of another process, which was renewed some seconds ago."""
        begun("float32")
        leases.hurry(monkeypatch)
        (tmp_path / "buckets" / "bucket" / "training").mkdir(parents=True)
        Bucket(tmp_path / "buckets").install(monkeypatch)

        def write(ago_s):
            holder = dataclasses.replace(
                lease.Holder.this_process(), owner="another", pid=7, host="elsewhere", renewed_s=time.time() - ago_s
            )
            epath.Path(self.OUTPUT, ".lease").write_bytes(holder.to_bytes())

        return write

    def test_a_second_training_is_refused(self, tmp_path, lease_of_another):
        lease_of_another(0.0)
        with pytest.raises(
            UserError, match=r"\(process 7 on elsewhere\) is using gs://.* give this one another --output"
        ):
            train(tmp_path, self.OUTPUT)

    def test_the_lease_of_a_killed_one_is_taken_over_and_the_wait_is_said(
        self, tmp_path, lease_of_another, monkeypatch, caplog
    ):
        lease_of_another(60.0)
        result = StageResult(summary="continued")
        held = []

        def execute(trainer, **_):
            held.append(lease.is_held(epath.Path(self.OUTPUT)))
            return result

        monkeypatch.setattr(standalone.Trainer, "execute", execute)
        train(tmp_path, self.OUTPUT)
        assert held == [True]
        assert not epath.Path(self.OUTPUT, ".lease").exists()
        (warning,) = [record.getMessage() for record in caplog.records if record.levelname == "WARNING"]
        assert warning.startswith("process 7 on elsewhere has not renewed its lease of gs://bucket/training: waiting")

    def test_a_machine_that_does_not_write_needs_no_lease(self, tmp_path, lease_of_another, monkeypatch):
        lease_of_another(0.0)
        cluster = {"cluster": {"worker": ["a:1", "b:1"]}, "task": {"type": "worker", "index": 1}}
        monkeypatch.setenv("TF_CONFIG", json.dumps(cluster))
        monkeypatch.setattr(standalone.Trainer, "execute", lambda trainer, **_: StageResult(summary="continued"))
        train(tmp_path, self.OUTPUT)
