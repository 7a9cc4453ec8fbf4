"""Runs of the real pipeline that are stopped by a time limit, or asked for more."""

import contextlib
import io
import json
import re

import keras
import numpy as np
import pytest

from pipeline import cli
from tests.pipeline import tiny_run

pytestmark = pytest.mark.slow

CONSTANT = ("trainer.learning_rate=0.01", "trainer.final_learning_rate=0.01")


def run(clips, root, *words):
    """Runs the stages up to the Trainer, and returns the exit status and what was printed."""
    out = io.StringIO()
    with contextlib.redirect_stdout(out):
        status = cli.main([*tiny_run.command(clips, root), *words, "--until", "Trainer"])
    return status, out.getvalue()


@pytest.fixture(scope="module")
def clips(tmp_path_factory):
    folder = tmp_path_factory.mktemp("clips")
    tiny_run.write_clips(folder)
    return folder


def report(root):
    return json.loads((root / "report.json").read_text())


def weights(root):
    (folder,) = (row["outputs"]["model"] for row in report(root)["stages"] if row["stage"] == "Trainer")
    return keras.models.load_model(f"{folder}/model.keras", compile=False).get_weights()


def test_a_training_over_its_limit_keeps_a_checkpoint_and_goes_on(clips, tmp_path):
    run(clips, tmp_path, "trainer.steps=1")  # Shows how long this machine takes to build the model.
    (seconds,) = (row["seconds"] for row in report(tmp_path)["stages"] if row["stage"] == "Trainer")
    limited = ("trainer.steps=100000", "trainer.seed=1", "--time-limit", f"trainer={(2 * seconds + 5) / 60}")
    status, printed = run(clips, tmp_path, *limited)
    assert status == 143
    assert re.search(r"Trainer has reached its limit of .*\(--time-limit\): nothing incomplete was published", printed)
    first = max((tmp_path / "work" / "Trainer").glob("*/checkpoints/step-*"))
    assert run(clips, tmp_path, *limited)[0] == 143
    newest = max((tmp_path / "work" / "Trainer").glob("*/checkpoints/step-*"))
    assert newest.name > first.name, "It went on."


def test_more_steps_and_another_start(clips, tmp_path):
    for steps in (2, 4):
        status, printed = run(clips, tmp_path / "grown", *CONSTANT, f"trainer.steps={steps}")
        assert status == 0
    assert re.search(r"Trainer: runs, config\.steps 2 -> 4; goes on from the end of that of ", printed)
    assert "resumed at step 2" in printed
    assert run(clips, tmp_path / "whole", *CONSTANT, "trainer.steps=4")[0] == 0
    for one, other in zip(weights(tmp_path / "grown"), weights(tmp_path / "whole"), strict=True):
        np.testing.assert_array_equal(one, other)
    assert "Trainer: skipped, nothing changed" in run(clips, tmp_path / "grown", *CONSTANT, "trainer.steps=4")[1]

    model = sorted((tmp_path / "grown" / "artifacts" / "Trainer" / "model").glob("*/model.keras"))[-1]
    for place, outcome in ((model.parent, "runs, initial_model changed"), (model, "skipped, nothing changed")):
        status, printed = run(clips, tmp_path / "grown", *CONSTANT, f"trainer.initial_model={place}")
        assert status == 0
        assert f"Trainer: {outcome}" in printed
