"""Keeps the figures of an experiment: `python -m tests.benchmarks.experiment runs/ablate/experiments/figure2`.

It writes `results/figure2.json`, without the paths of this machine. `python -m tests.benchmarks.docs` then puts them
into the documentation, and draws the plots that are shown there.
"""

import argparse
import json
import pathlib
import sys

from tests.benchmarks.record import RESULTS, machine

_OF_RUN = ("seed", "cpu_minutes", "scores", "knn", "training")
_OF_CELL = (
    "name",
    "fields",
    "shares",
    "clips_per_step",
    "steps",
    "passes",
    "cpu_minutes",
    "scores",
    "against_reference",
)
_OF_EXPERIMENT = ("experiment", "title", "preset", "budget", "overrides", "training_clips", "probe", "metric", "paper")
_OF_PLACE = ("block", "row", "column", "cell", "features", "paper")


def record(folder: pathlib.Path, *, corpus: str) -> dict:
    """Returns the figures of an experiment, of the cells that have finished.

    Args:
        folder: `ROOT/experiments/EXPERIMENT`.
        corpus: What the clips are, in words, in place of their path.

    Raises:
        SystemExit: No cell has finished, or a training has failed.
    """
    results = json.loads((folder / "results.json").read_text())
    failed = [
        f"{cell['name']}, seed {run['seed']}" for cell in results["cells"] for run in cell["runs"] if "error" in run
    ]
    if failed:
        raise SystemExit(f"{folder}: {'; '.join(failed)} failed: run the command again before its figures are kept.")
    cells = [_cell(cell) for cell in results["cells"] if cell["scores"]]
    if not cells:
        raise SystemExit(f"{folder}: no cell has finished.")
    return {
        **{name: results[name] for name in _OF_EXPERIMENT},
        "only": [] if len(cells) == len(results["cells"]) else [cell["name"] for cell in cells],
        "reference": results["reference"],
        "corpus": corpus,
        "date": results["written"][:10],
        "machine": machine(),
        "cells": cells,
        "places": [{name: place[name] for name in _OF_PLACE} for place in results["places"]],
    }


def unfinished(result: dict) -> list[str]:
    """Returns the cells of a result that have fewer trainings than others, each with its number, e.g. "mfcc (1)"."""
    seeds = {cell["name"]: len(cell["runs"]) for cell in result["cells"]}
    return [f"{name} ({count})" for name, count in seeds.items() if count < max(seeds.values())]


def _cell(cell: dict) -> dict:
    runs = [{name: run[name] for name in _OF_RUN if name in run} for run in cell["runs"] if run["state"] == "finished"]
    return {**{name: cell[name] for name in _OF_CELL}, "runs": runs}


def main() -> None:
    """Writes the result file."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=pathlib.Path, help="folder of the experiment: ROOT/experiments/EXPERIMENT")
    parser.add_argument("--corpus", default="ESC-50", help="what the clips are (default: %(default)s)")
    parser.add_argument("--name", help="name of the result file (default: that of the experiment)")
    args = parser.parse_args()
    name = args.name or args.folder.name
    result = record(args.folder, corpus=args.corpus)
    if unfinished(result):
        print(f"With fewer seeds than the others: {', '.join(unfinished(result))}.", file=sys.stderr)
    (RESULTS / f"{name}.json").write_text(json.dumps(result, indent=1) + "\n")


if __name__ == "__main__":
    main()
