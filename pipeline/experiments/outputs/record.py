"""The results as JSON: everything that the tables are made from."""

import dataclasses
import json
import platform
import time

from pipeline.experiments.intervals import Summary
from pipeline.experiments.outputs import tables
from pipeline.experiments.results import CellResult, Results, SeedResult
from pipeline.runner import libraries

_LIBRARIES = ("diptych", "keras", "numpy", "scipy", "tensorflow")

_OF_METRICS = ("probe", "metric", "scores", "intervals", "knn", "few_shot", "note")
"""What of the Evaluator's `metrics.json` is kept."""


def to_json(results: Results) -> str:
    """Returns the content of `results.json`."""
    content = {
        "experiment": results.experiment.name,
        "title": results.experiment.title,
        **results.settings,
        "written": time.strftime("%Y-%m-%dT%H:%M:%S"),
        "versions": {"python": platform.python_version(), **libraries.versions(_LIBRARIES)},
        "training_clips": results.clips,
        "probe": results.probe,
        "metric": results.metric,
        "paper": results.experiment.paper,
        "reference": results.experiment.reference,
        "cells": [_cell(results, result) for result in results.cells.values()],
        "places": [dataclasses.asdict(place) for place in results.layout.places],
    }
    return json.dumps(content, indent=1) + "\n"


def _cell(results: Results, result: CellResult) -> dict[str, object]:
    return {
        "name": result.cell.name,
        "fields": dict(result.cell.fields),
        "shares": dict(result.cell.shares),
        "clips_per_step": result.clips_per_step,
        "steps": result.steps,
        "passes": results.passes(result),
        "cpu_minutes": result.cpu_minutes,
        "scores": {
            features: {
                "trained": _summary(result.summary(features)),
                "untrained": _summary(tables.untrained(result, features)),
            }
            for features in result.feature_sets
        },
        "against_reference": _summary(results.difference(result)),
        "runs": [_run(run) for run in result.runs],
    }


def _run(run: SeedResult) -> dict[str, object]:
    state = "finished" if run.evaluated else ("failed" if run.error else "missing")
    content: dict[str, object] = {"seed": run.seed, "state": state}
    if run.error:
        content["error"] = run.error
    if run.measured_on:
        content["measured_on"] = run.measured_on
    if run.evaluated is not None:
        metrics = run.evaluated.metrics
        content |= {"cpu_minutes": run.cpu_minutes, "training": dict(run.evaluated.training)}
        content |= {name: metrics[name] for name in _OF_METRICS if name in metrics}
    return content


def _summary(summary: Summary | None) -> dict[str, float | None] | None:
    return None if summary is None else dataclasses.asdict(summary)
