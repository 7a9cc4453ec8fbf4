"""Which cells are trained for how many steps, and how their scores are put together."""

import json
import statistics

import pytest

from tests.benchmarks.accelerator.score import summarize
from tests.benchmarks.accelerator.train import read_cell


def _training(cell, minutes, seed, **accuracies):
    scores = {name: {"linear": value, "knn": value / 2, "few_shot": value / 4} for name, value in accuracies.items()}
    return {"cell": cell, "minutes": minutes, "seed": seed, "steps": 10 * minutes, "device": "X", "scores": scores}


def test_scores_are_summarized_for_each_cell_and_budget():
    pair = [_training("pair", 15, seed, waveform=0.4, log_mel=0.6, both=both) for seed, both in enumerate((0.7, 0.8))]
    cells = summarize([*reversed(pair), _training("one", 15, 0, log_mel=0.5), _training("pair", 60, 0, both=0.9)])
    assert [(cell["name"], cell["minutes"], cell["seeds"]) for cell in cells] == [
        ("one", 15, [0]),
        ("pair", 15, [0, 1]),
        ("pair", 60, [0]),
    ]
    assert cells[0]["linear_of_seeds"] == [0.5]  # One encoder is the whole model.
    assert cells[1]["linear_of_seeds"] == [0.7, 0.8]
    assert cells[1]["scores"]["both"]["linear"]["mean"] == pytest.approx(0.75)
    assert cells[1]["scores"]["both"]["knn"]["sd"] == pytest.approx(statistics.stdev((0.35, 0.4)))
    assert cells[2]["steps"] == 600
    with pytest.raises(ValueError, match="pair, 15 minutes: trainings of"):
        summarize([*pair, {**pair[0], "seed": 2, "steps": 151}])


def test_steps_follow_from_what_was_measured(tmp_path):
    cell = {"name": "x", "fields": {"trainer.batch_size": 8}, "steps": 90, "shares": {}}
    document = {"preset": "tiny", "budget": "cpu-minutes=15", "cells": [cell]}
    (tmp_path / "figure2_longer.json").write_text(json.dumps(document))
    found = read_cell("x", results=tmp_path)
    assert (found.config.batch_size, found.steps_per_minute) == (8, 6.0)
    with pytest.raises(ValueError, match="has no cell y, only x"):
        read_cell("y", results=tmp_path)
