import subprocess
import sys

import numpy as np
import pytest

from components.trainer import compiled_loop, validation
from tests.components import harness
from tests.components.trainer import killed_run, trainer_runs, training

pytestmark = pytest.mark.usefixtures("blank_pictures")


def _interrupt_the_third_step(monkeypatch, *, spoil=False):
    """Interrupts the third step, after it has made the weights NaN if they are to be spoiled.

    Python delays a signal until the call of the compiled loop ends.
    """
    make_loop = compiled_loop.make_loop

    def make_interrupted_loop(training_step):
        loop = make_loop(training_step)

        def interrupted_loop(iterator, steps):
            result = loop(iterator, steps)
            if int(training_step.optimizer.iterations.value) == 3:
                if spoil:
                    weights = training_step.model.trainable_variables[0]
                    weights.assign(weights * np.nan)
                raise KeyboardInterrupt
            return result

        return interrupted_loop

    monkeypatch.setattr(compiled_loop, "make_loop", make_interrupted_loop)


def _interrupt_the_first_validation(monkeypatch):
    """Interrupts a validation, during which the model has averaged weights."""
    run = validation.Validation.run

    def interrupted_run(self):
        run(self)
        raise KeyboardInterrupt

    monkeypatch.setattr(validation.Validation, "run", interrupted_run)


def _assert_same_weights(run, expected):
    for weights, expected_weights in zip(trainer_runs.weights(run), trainer_runs.weights(expected), strict=True):
        np.testing.assert_array_equal(weights, expected_weights)


@pytest.mark.parametrize(
    ("where", "changes"),
    [
        ("in the compiled loop", training.ONE_ENCODER),
        pytest.param("in the compiled loop", {}, marks=pytest.mark.slow),
        pytest.param("between calls of the compiled loop", {}, marks=pytest.mark.slow),
        pytest.param("in a validation", {"ema": 0.9}, marks=pytest.mark.slow),
    ],
    ids=["in the loop, one encoder", "in the loop", "between calls of the loop", "in a validation"],
)
def test_a_stopped_run_resumes_to_the_same_weights(inputs, tmp_path, monkeypatch, trainings, where, changes):
    """The resumed run builds the model and the optimizer itself."""
    config = trainer_runs.config(**changes)
    assert config.model.augment_a.mixing
    assert config.model.augment_b.frequency_shift or changes is training.ONE_ENCODER
    with monkeypatch.context() as patched:
        trainings.install(patched)
        whole = trainer_runs.execute(config, inputs, tmp_path / "whole")
    progress = None
    with monkeypatch.context() as patched:
        trainings.install(patched)
        if where == "in the compiled loop":
            _interrupt_the_third_step(patched)
        elif where == "in a validation":
            _interrupt_the_first_validation(patched)
        else:
            progress = trainer_runs.StopsAt(3)
        with pytest.raises(KeyboardInterrupt):
            trainer_runs.execute(config, inputs, tmp_path / "stopped", progress=progress)
    resumed = trainer_runs.execute(config, inputs, tmp_path / "stopped")
    assert resumed.progress.updates[0][0] == 4, "It did not start from the beginning."
    _assert_same_weights(resumed, whole)
    last_rows = [trainer_runs.history(run)[-1] for run in (resumed, whole)]
    assert [last_rows[0][name] for name in ("step", "loss")] == [last_rows[1][name] for name in ("step", "loss")]


@pytest.mark.usefixtures("built_once")
def test_a_state_that_is_not_finite_is_not_saved_when_a_run_is_stopped(inputs, tmp_path, monkeypatch):
    _interrupt_the_third_step(monkeypatch, spoil=True)
    with pytest.raises(KeyboardInterrupt):
        trainer_runs.execute(trainer_runs.config(**training.ONE_ENCODER), inputs, tmp_path)
    assert [path.name for path in (tmp_path / "work" / "checkpoints").iterdir()] == ["step-00000002"]


@pytest.mark.slow
def test_a_killed_run_resumes_to_the_same_weights_and_curves(inputs, tmp_path):
    """SIGKILL comes after step 6. The last checkpoint is that of step 4, and step 5 is in the event files."""
    config = trainer_runs.config(**killed_run.CHANGES)
    whole = trainer_runs.execute(config, inputs, tmp_path / "whole")
    arguments = [tmp_path / "killed", 6, inputs["examples"], inputs["anomalies"]]
    command = [sys.executable, "-m", "tests.components.trainer.killed_run", *map(str, arguments)]
    assert subprocess.run(command, check=False).returncode == -9
    assert harness.logged_steps(tmp_path / "killed" / "tensorboard", "train/loss") == [1, 2, 3, 4, 5]
    resumed = trainer_runs.execute(config, inputs, tmp_path / "killed")
    assert resumed.progress.updates[0][0] == 5
    _assert_same_weights(resumed, whole)
    for folder in ("killed", "whole"):
        assert harness.logged_steps(tmp_path / folder / "tensorboard", "train/loss") == [1, 2, 3, 4, 5, 6]
        assert harness.logged_steps(tmp_path / folder / "tensorboard", "valid/loss") == [3, 6]
