"""Scores what `train` wrote: `python -m tests.benchmarks.accelerator.score MODELS --esc50 ESC-50`."""

import argparse
import dataclasses
import json
import pathlib
import shutil
import sys
import tempfile
from collections import defaultdict
from collections.abc import Iterable, Sequence

from beam_jobs.examples import ExamplesInfo
from beam_jobs.sources.clips import SourceError
from components.embedder.loaders import UntrainedLoader
from pipeline.experiments import intervals
from tests.benchmarks import measuring
from tests.benchmarks.clips import write_esc50
from tests.benchmarks.record import RESULTS
from tests.benchmarks.rivals import scores

_COLUMNS = ("linear", "knn", "few_shot")


def main() -> None:
    """Scores each model, with the probes of the Evaluator, and writes the result file. Scores are kept beside it."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("models", type=pathlib.Path, help="the folder that `train` wrote")
    parser.add_argument("--esc50", type=pathlib.Path, required=True, help="ESC-50 as it is distributed")
    parser.add_argument("--results", type=pathlib.Path, default=RESULTS, help="folder of the result file")
    flags = parser.parse_args()
    reports = sorted(flags.models.glob("*.json"))
    if not reports:
        sys.exit(f"{flags.models} holds no trainings: give the folder that `train` wrote.")
    try:
        info = write_esc50(flags.esc50, flags.models / "examples")
    except SourceError as error:
        sys.exit(f"--esc50: {error}")
    trainings = [_scored(file, info) for file in reports]
    figures = {"corpus": "ESC-50", "clips": info.splits["train"], "cells": summarize(trainings)}
    measuring.save("figure2_curve", figures, results=flags.results)


def _scored(file: pathlib.Path, info: ExamplesInfo) -> dict:
    """Returns the report of a training with its scores."""
    report = json.loads(file.read_text())
    if "scores" not in report:
        with tempfile.TemporaryDirectory() as folder:
            shutil.copy(file.with_suffix(".keras"), pathlib.Path(folder, "initial.keras"))
            found = scores.score(UntrainedLoader(folder), info)
        report["scores"] = {name: dataclasses.asdict(one) for name, one in found.items()}
        file.write_text(json.dumps(report))
    return report


def summarize(trainings: Iterable[dict]) -> list[dict]:
    """Returns the scores over the seeds, for each cell and budget.

    Args:
        trainings: What `train` reported, with `scores`: set of features -> the fields of `rivals.scores.Scores`.

    Returns:
        For each cell and budget: `name`, `minutes`, `steps`, `devices`, `seeds`, `linear_of_seeds` and `knn_of_seeds`,
        the accuracies of the whole model in the order of the seeds, and `scores`: set of features -> the summary of
        each column. The last set is that of the whole model.

    Raises:
        ValueError: Two seeds had different numbers of steps.
    """
    groups: defaultdict[tuple[str, int], list[dict]] = defaultdict(list)
    for training in sorted(trainings, key=lambda one: one["seed"]):
        groups[training["cell"], training["minutes"]].append(training)
    return [_summary(name, minutes, runs) for (name, minutes), runs in sorted(groups.items())]


def _summary(name: str, minutes: int, runs: Sequence[dict]) -> dict:
    steps = {run["steps"] for run in runs}
    if len(steps) > 1:
        raise ValueError(f"{name}, {minutes} minutes: trainings of {steps} steps: remove those of the other number")
    whole_models = [list(run["scores"].values())[-1] for run in runs]
    return {
        "name": name,
        "minutes": minutes,
        "steps": steps.pop(),
        "devices": sorted({run["device"] for run in runs}),
        "seeds": [run["seed"] for run in runs],
        "linear_of_seeds": [whole["linear"] for whole in whole_models],
        "knn_of_seeds": [whole["knn"] for whole in whole_models],
        "scores": _summaries([run["scores"] for run in runs]),
    }


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
