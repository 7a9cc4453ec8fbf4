"""Executes the Trainer with a tiny config."""

import csv

import keras

from components.trainer import Trainer, TrainerConfig
from pipeline.configs import overrides
from tests.components import harness
from tests.components.trainer import training

TINY = {
    **training.TINY_MODEL,
    "steps": 6,
    "batch_size": 8,
    "learning_rate": 1e-2,
    "steps_per_loop": 1,
    "log_every": 2,
    "eval_every": 3,
    "checkpoint_every": 2,
}


class StopsAt(harness.RecordedProgress):
    """Interrupts a training after a step."""

    def __init__(self, step):
        super().__init__()
        self.step = step

    def update(self, done, **figures):
        if done == self.step:
            raise KeyboardInterrupt


def config(**changes):
    """Returns the tiny config with changes, e.g. `model__dropout=0.5`."""
    return overrides.replace(TrainerConfig(), {**TINY, **{name.replace("__", "."): v for name, v in changes.items()}})


def execute(settings, inputs, folder, *, progress=None, extended=None):
    """Executes the Trainer in a folder. Executed there again, it resumes."""
    return harness.execute(Trainer(settings), folder, progress=progress, extended=extended, keep_outputs=True, **inputs)


def weights(execution, name="model.keras"):
    """Returns the weights of a published model."""
    return keras.models.load_model(execution.outputs["model"] / name, compile=False).get_weights()


def history(execution):
    """Returns the rows of the published history.csv."""
    return list(csv.DictReader((execution.outputs["model_run"] / "history.csv").read_text().splitlines()))
