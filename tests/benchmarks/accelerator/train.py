"""Trains a cell of figure 2 for several budgets and seeds: `python -m tests.benchmarks.accelerator.train`."""

import argparse
import dataclasses
import json
import pathlib

import numpy as np

from components.trainer.config import TrainerConfig
from pipeline.configs import overrides, presets
from tests.benchmarks.record import RESULTS

MEASURED = "figure2_longer"
"""The result file that has the cells, and how many steps each takes in a processor time."""


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
        ValueError: It was not.
    """
    measured = json.loads((results / f"{MEASURED}.json").read_text())
    found = {cell["name"]: cell for cell in measured["cells"]}
    if name not in found:
        raise ValueError(f"{MEASURED}.json has no cell {name}, only {', '.join(found)}")
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
    # Imported here because the tests of `read_cell` run without JAX.
    import jax

    from tests.benchmarks.accelerator.training import Training

    flags.to.mkdir(parents=True, exist_ok=True)
    cell = read_cell(flags.cell)
    training = Training(cell.config, np.load(flags.clips))
    device = jax.devices()[0].device_kind
    for seed in flags.seeds:
        for minutes in flags.minutes:
            file = flags.to / f"{flags.cell}-{minutes}-{seed}.keras"
            if file.with_suffix(".json").exists():
                continue
            trained = training.train(seed=seed, steps=round(cell.steps_per_minute * minutes))
            training.model.save(file)
            report = {"cell": flags.cell, "minutes": minutes, "seed": seed, "device": device, "jax": jax.__version__}
            file.with_suffix(".json").write_text(json.dumps({**report, **dataclasses.asdict(trained)}))
            print(file.name, trained, flush=True)


if __name__ == "__main__":
    main()
