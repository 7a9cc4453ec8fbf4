"""Trains a cell of figure 2 for several budgets and seeds: `python -m tests.benchmarks.accelerator.train`."""

import argparse
import dataclasses
import itertools
import json
import pathlib
import sys
from collections.abc import Sequence

import keras
import numpy as np

from components.trainer.config import TrainerConfig
from pipeline.configs import overrides, presets
from tests.benchmarks.record import RESULTS

MEASURED = "figure2_longer"
"""The result file with the cells of figure 2. It tells how many steps each took in how many minutes."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Cell:
    """A cell of figure 2.

    Attributes:
        config: Its Trainer.
        steps_per_minute: Steps in a minute of processor time.
    """

    config: TrainerConfig
    steps_per_minute: float


def read_cell(name: str, *, results: pathlib.Path = RESULTS) -> Cell:
    """Returns a cell as it was measured.

    Raises:
        ValueError: It was not, or some of its fields depend on the number of steps.
    """
    measured = json.loads((results / f"{MEASURED}.json").read_text())
    found = {cell["name"]: cell for cell in measured["cells"]}
    if name not in found:
        raise ValueError(f"{MEASURED}.json has no cell {name}, only {', '.join(found)}")
    if found[name]["shares"]:
        raise ValueError(f"{name}: fields that are shares of the steps are not built here")
    config = overrides.replace(presets.config(measured["preset"]), found[name]["fields"])
    minutes = float(measured["budget"].removeprefix("cpu-minutes="))
    return Cell(config=config.trainer, steps_per_minute=found[name]["steps"] / minutes)


def main() -> None:
    """Trains, seed by seed, and writes each model and how its training went. What is there is not trained again."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("clips", type=pathlib.Path, help="what tests.benchmarks.accelerator.clips wrote")
    parser.add_argument("--cell", required=True, help=f"a cell of {MEASURED}.json")
    parser.add_argument("--minutes", type=int, nargs="+", default=[15, 30, 60, 120], help="of processor time")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--to", type=pathlib.Path, required=True, help="the folder for the models")
    flags = parser.parse_args()
    if keras.backend.backend() != "jax":
        sys.exit(f"Keras runs on {keras.backend.backend()} here: set KERAS_BACKEND=jax.")
    try:
        cell = read_cell(flags.cell)
    except ValueError as error:
        sys.exit(f"--cell: {error}")
    flags.to.mkdir(parents=True, exist_ok=True)
    train(cell, np.load(flags.clips), name=flags.cell, minutes=flags.minutes, seeds=flags.seeds, folder=flags.to)


def train(
    cell: Cell, clips: np.ndarray, *, name: str, minutes: Sequence[int], seeds: Sequence[int], folder: pathlib.Path
) -> None:
    """Trains a cell once for each pair of a seed and a number of minutes, and writes each model with a report.

    A report is written after its model. So a model that has a report is whole, and is not trained again.
    """
    # Imported here because the tests of `read_cell` run without JAX.
    import jax

    from tests.benchmarks.accelerator.training import Training

    training = Training(cell.config, clips)
    for seed, budget in itertools.product(seeds, minutes):
        steps = round(cell.steps_per_minute * budget)
        model = folder / f"{name}-{budget}-{seed}.keras"
        report = model.with_suffix(".json")
        if report.exists() and json.loads(report.read_text())["steps"] == steps:
            continue
        report.unlink(missing_ok=True)
        trained = training.train(seed=seed, steps=steps)
        training.model.save(model)
        device = jax.devices()[0].device_kind
        fields = {"cell": name, "minutes": budget, "seed": seed, "device": device, "jax": jax.__version__}
        unfinished = report.with_suffix(".unfinished")
        unfinished.write_text(json.dumps({**fields, **dataclasses.asdict(trained)}))
        unfinished.replace(report)
        print(model.name, trained, flush=True)


if __name__ == "__main__":
    main()
