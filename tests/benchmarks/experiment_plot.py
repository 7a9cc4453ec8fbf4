"""Makes the results of an experiment again from the figures that were kept, to draw them as `diptych ablate` does."""

from pipeline.configs import resolve
from pipeline.experiments import catalog
from pipeline.experiments.experiment import Cell
from pipeline.experiments.finished import Evaluated
from pipeline.experiments.results import CellResult, Results, SeedResult


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
        return CellResult(cell=cell, clips_per_step=0, runs=[])
    metrics = {"probe": record["probe"], "metric": record["metric"]}
    runs = [
        SeedResult(
            seed=run["seed"],
            steps=kept["steps"],
            evaluated=Evaluated(metrics={**metrics, "scores": run["scores"]}, training=run.get("training", {})),
        )
        for run in kept["runs"]
    ]
    return CellResult(cell=cell, clips_per_step=kept["clips_per_step"], runs=runs)
