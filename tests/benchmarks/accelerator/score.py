"""Scores what `train` wrote: `python -m tests.benchmarks.accelerator.score MODELS --esc50 ESC-50`."""

import argparse
import dataclasses
import json
import pathlib
import shutil
import tempfile
from collections import defaultdict
from collections.abc import Iterable, Sequence

from beam_jobs.examples import ExamplesInfo
from components.embedder.loaders import UntrainedLoader
from pipeline.experiments import intervals
from tests.benchmarks import measuring
from tests.benchmarks.clips import write_esc50
from tests.benchmarks.record import RESULTS
from tests.benchmarks.rivals import scores

WHOLE = "both"
_COLUMNS = ("linear", "knn", "few_shot")


def main() -> None:
    """Scores each model, with the probes of the Evaluator, and writes the result file. Scores are kept beside it."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("models", type=pathlib.Path, help="the folder that `train` wrote")
    parser.add_argument("--esc50", type=pathlib.Path, required=True, help="ESC-50 as it is distributed")
    parser.add_argument("--results", type=pathlib.Path, default=RESULTS, help="folder of the result file")
    flags = parser.parse_args()
    info = write_esc50(flags.esc50, flags.models / "examples")
    trainings = [_scored(file, info) for file in sorted(flags.models.glob("*.keras"))]
    figures = {"corpus": "ESC-50", "clips": info.splits["train"], "cells": summarize(trainings)}
    measuring.save("figure2_curve", figures, results=flags.results)


def _scored(model: pathlib.Path, info: ExamplesInfo) -> dict:
    """Returns the report of a training with its scores."""
    file = model.with_suffix(".json")
    report = json.loads(file.read_text())
    if "scores" not in report:
        with tempfile.TemporaryDirectory() as folder:
            shutil.copy(model, pathlib.Path(folder, "initial.keras"))
            found = scores.score(UntrainedLoader(folder), info)
        report["scores"] = {name: dataclasses.asdict(one) for name, one in found.items()}
        file.write_text(json.dumps(report))
    return report


def summarize(trainings: Iterable[dict]) -> list[dict]:
    """Returns the scores over the seeds, for each cell and budget.

    Args:
        trainings: What `train` reported, with `scores`: set of features -> the fields of `rivals.scores.Scores`.

    Returns:
        For each cell and budget: `name`, `minutes`, `steps`, `device`, `seeds`, `linear_of_seeds`, the linear probe's
        accuracies of the whole model in their order, and `scores`: set of features -> the summary of each column. One
        set of features is that of the whole model, `both`, also if it has one encoder.
    """
    groups: defaultdict[tuple[str, int], list[dict]] = defaultdict(list)
    for training in sorted(trainings, key=lambda one: one["seed"]):
        groups[training["cell"], training["minutes"]].append(training)
    return [
        {
            "name": name,
            "minutes": minutes,
            "steps": runs[0]["steps"],
            "device": runs[0]["device"],
            "seeds": [run["seed"] for run in runs],
            "linear_of_seeds": [_named(run["scores"])[WHOLE]["linear"] for run in runs],
            "scores": _summaries([_named(run["scores"]) for run in runs]),
        }
        for (name, minutes), runs in sorted(groups.items())
    ]


def _named(of_features: dict[str, dict]) -> dict[str, dict]:
    """Returns the scores with those of the whole model as `both`."""
    return of_features if WHOLE in of_features else {WHOLE: next(iter(of_features.values()))}


def _summaries(runs: Sequence[dict[str, dict]]) -> dict[str, dict]:
    return {
        features: {
            column: dataclasses.asdict(intervals.summarize([run[features][column] for run in runs]))
            for column in _COLUMNS
        }
        for features in runs[0]
    }


if __name__ == "__main__":
    main()
