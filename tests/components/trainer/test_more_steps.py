"""A training with more steps goes on from the last checkpoint of one that has finished."""

import numpy as np
import pytest
from etils import epath

from components.trainer import Trainer
from tests.components.trainer import trainer_runs

CONSTANT = {"learning_rate": 1e-2, "final_learning_rate": 1e-2}


def run(inputs, folder, *, steps, extended=None, **changes):
    settings = trainer_runs.config(steps=steps, **changes)
    return trainer_runs.execute(settings, inputs, folder, extended={} if extended is None else extended.outputs)


def rows(execution, *names):
    return [[row[name] for name in names] for row in trainer_runs.history(execution)]


def assert_same_weights(one, other):
    for weights, expected in zip(trainer_runs.weights(one), trainer_runs.weights(other), strict=True):
        np.testing.assert_array_equal(weights, expected)


@pytest.mark.slow
@pytest.mark.usefixtures("built_once")
@pytest.mark.parametrize("ema", [0.0, 0.9])
def test_with_a_constant_learning_rate_it_is_the_uninterrupted_training(inputs, tmp_path, ema):
    """The model, the choice of the best one and the curves are equal, bit for bit."""
    whole = run(inputs, tmp_path / "whole", steps=6, ema=ema, **CONSTANT)
    short = run(inputs, tmp_path / "short", steps=3, ema=ema, **CONSTANT)
    longer = run(inputs, tmp_path / "longer", steps=6, ema=ema, extended=short, **CONSTANT)
    assert longer.progress.updates[0][0] == 4, "It did not start from the beginning."
    assert longer.result.figures["resumption"] == "resumed at step 3"
    assert_same_weights(longer, whole)
    assert longer.result.figures["best_step"] == whole.result.figures["best_step"]
    of_longer = [
        row for row in rows(longer, "step", "learning_rate") if row[0] != "3"
    ]  # The last step of the short one.
    assert of_longer == rows(whole, "step", "learning_rate")
    assert rows(longer, "loss")[-1] == rows(whole, "loss")[-1]
    assert {tag for tag in longer.tags() if tag.startswith("config")}, "TensorBoard shows its config."


@pytest.mark.slow
@pytest.mark.usefixtures("built_once")
def test_a_decaying_learning_rate_is_that_of_all_steps_from_there_on(inputs, tmp_path):
    whole = run(inputs, tmp_path / "whole", steps=6)
    short = run(inputs, tmp_path / "short", steps=3)
    longer = run(inputs, tmp_path / "longer", steps=6, extended=short)
    of_whole, of_short = (dict(rows(execution, "step", "learning_rate")) for execution in (whole, short))
    of_longer = dict(rows(longer, "step", "learning_rate"))
    assert of_longer == {**of_whole, "2": of_short["2"], "3": of_short["3"]}
    assert of_short["2"] != of_whole["2"]


@pytest.mark.slow
@pytest.mark.usefixtures("built_once")
def test_a_training_that_goes_on_and_is_stopped_resumes_from_its_own_checkpoint(inputs, tmp_path):
    short = run(inputs, tmp_path / "short", steps=3, **CONSTANT)
    whole = run(inputs, tmp_path / "whole", steps=6, **CONSTANT)
    with pytest.raises(KeyboardInterrupt):
        trainer_runs.execute(
            trainer_runs.config(steps=6, **CONSTANT),
            inputs,
            tmp_path / "longer",
            progress=trainer_runs.StopsAt(5),
            extended=short.outputs,
        )
    longer = run(inputs, tmp_path / "longer", steps=6, extended=short, **CONSTANT)
    assert longer.progress.updates[0][0] == 6
    assert_same_weights(longer, whole)


@pytest.mark.slow
@pytest.mark.usefixtures("built_once")
@pytest.mark.parametrize("edit", ["removed", "edited"])
def test_the_curves_of_the_shorter_one_may_be_gone(inputs, tmp_path, edit, caplog):
    short = run(inputs, tmp_path / "short", steps=3, **CONSTANT)
    file = short.outputs["model_run"] / "history.csv"
    file.unlink() if edit == "removed" else file.write_text(file.read_text().replace(",", ";"))
    longer = run(inputs, tmp_path / "longer", steps=6, extended=short, **CONSTANT)
    assert longer.result.figures["resumption"] == "resumed at step 3"
    assert [step for (step,) in rows(longer, "step")] == ["4", "6"]
    assert [record.getMessage() for record in caplog.records if str(file) in record.getMessage()]


def test_only_what_differs_in_fewer_steps_is_extended(tmp_path):
    outputs = {"model_run": epath.Path(tmp_path)}
    done = Trainer(trainer_runs.config(steps=3)).resolved_config().deciding()

    def extends(**changes):
        return Trainer(trainer_runs.config(**changes)).extends(done, outputs=outputs)

    assert extends(steps=6) == 0, "An earlier version of Diptych left no checkpoint."
    (tmp_path / "checkpoints").mkdir()
    assert extends(steps=6) == extends(steps=6, checkpoint_every=1, initial_model="x") == 3
    assert extends(steps=6, collapse_rank=3.0, temperature_steps=5) == 3
    done["collapse_rank"] = 4.0  # As an earlier version of Diptych recorded it.
    assert extends(steps=6, collapse_rank=4.0) == extends(steps=6) == 3
    assert Trainer(trainer_runs.config()).can_extend
    assert not Trainer(trainer_runs.config(extend=False)).can_extend
    assert extends(steps=3) == extends(steps=2) == extends(steps=6, seed=1) == 0


@pytest.mark.slow
@pytest.mark.usefixtures("built_once")
def test_a_training_by_itself_keeps_its_checkpoints_once(inputs, tmp_path):
    alone = trainer_runs.execute(trainer_runs.config(steps=3), inputs, tmp_path)
    assert [path.name for path in alone.outputs["model_run"].iterdir()] == ["history.csv"]
