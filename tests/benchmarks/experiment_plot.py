"""Draws kept figures of experiments as `diptych ablate` does: `python -m tests.benchmarks.experiment_plot figure2`.

It writes `results/figure2.png` from `results/figure2.json`, which `tests.benchmarks.experiment` has kept.
"""

import argparse
import json

from pipeline.configs import resolve
from pipeline.experiments import catalog
from pipeline.experiments.experiment import Cell
from pipeline.experiments.finished import Evaluated
from pipeline.experiments.outputs import plot
from pipeline.experiments.results import CellResult, Results, SeedResult
from tests.benchmarks.record import RESULTS


def results_of(record: dict) -> Results:
    """Returns the results that a record was made from, as far as it keeps them.

    Args:
        record: What `experiment.record` has returned.

    Raises:
        SystemExit: It has a cell that the experiment no longer has.
    """
    experiment = catalog.find(record["experiment"])
    layout = experiment.layout(resolve.resolve(record["preset"], data=None, assignments=record["overrides"]))
    kept = {cell["name"]: cell for cell in record["cells"]}
    strangers = kept.keys() - {cell.name for cell in layout.cells}
    if strangers:
        raise SystemExit(f"{experiment.name} has no cell {', '.join(sorted(strangers))} any more: run it again.")
    return Results(
        experiment=experiment,
        layout=layout,
        cells={cell.name: _cell(cell, kept.get(cell.name), record=record) for cell in layout.cells},
        settings={
            "preset": record["preset"],
            "data": record["corpus"],
            "budget": record["budget"],
            "seeds": max(len(cell["runs"]) for cell in record["cells"]),
            "overrides": record["overrides"],
        },
        clips=record["training_clips"],
    )


def _cell(cell: Cell, kept: dict | None, *, record: dict) -> CellResult:
    if kept is None:
        return CellResult(cell=cell, batch_size=0, runs=[])
    metrics = {"probe": record["probe"], "metric": record["metric"]}
    runs = [
        SeedResult(
            seed=run["seed"],
            steps=kept["steps"],
            evaluated=Evaluated(metrics={**metrics, "scores": run["scores"]}, training=run.get("training", {})),
        )
        for run in kept["runs"]
    ]
    return CellResult(cell=cell, batch_size=kept["batch_size"], runs=runs)


def main() -> None:
    """Draws the plots of the results that are named."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="+", metavar="NAME", help="name of a result file, such as figure2")
    for name in parser.parse_args().names:
        record = json.loads((RESULTS / f"{name}.json").read_text())
        (RESULTS / f"{name}.png").write_bytes(plot.draw(results_of(record)))


if __name__ == "__main__":
    main()
