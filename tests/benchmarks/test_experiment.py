import dataclasses
import json

import pytest

from pipeline.experiments.outputs import plot
from tests.benchmarks import docs, experiment, experiment_plot, experiment_table
from tests.benchmarks.record import RESULTS


def _summary(mean, *, sd=None, low=None, high=None, count=1):
    return {"mean": mean, "sd": sd, "low": low, "high": high, "count": count}


def _cell(name, *, scores, against=None, runs=2):
    return {
        "name": name,
        "fields": {},
        "shares": {},
        "clips_per_step": 64,
        "steps": 1234,
        "passes": 41.6,
        "cpu_minutes": 15.2,
        "scores": scores,
        "against_reference": against,
        "runs": [
            {"seed": seed, "state": "finished", "cpu_minutes": 15.2, "scores": {"both": 0.5}, "few_shot": {}}
            for seed in range(runs)
        ],
    }


@pytest.fixture
def folder(tmp_path):
    single = {"log_mel": {"trained": _summary(0.5), "untrained": _summary(0.4)}}
    pair = {
        "waveform": {"trained": _summary(0.45, sd=0.01, low=0.41, high=0.49, count=2), "untrained": _summary(0.3)},
        "both": {"trained": _summary(0.6, sd=0.02, low=0.5, high=0.7, count=2), "untrained": _summary(0.45)},
    }
    results = {
        "experiment": "figure2",
        "title": "formats",
        "preset": "tiny",
        "data": "/home/someone/esc50",
        "budget": "cpu-minutes=15",
        "overrides": ["trainer.batch_size=64"],
        "training_clips": 1898,
        "probe": "linear",
        "metric": "accuracy",
        "reference": "waveform+log_mel",
        "paper": "accuracy on ESC-50",
        "places": [
            {"block": "", "row": row, "column": "score", "cell": cell, "features": "both", "paper": paper}
            for row, cell, paper in (("L3", "", 0.793), ("Ours", "waveform+log_mel", 0.9))
        ],
        "written": "2026-11-26T16:33:04",
        "cells": [
            _cell("log_mel", scores=single, against=_summary(-0.1, sd=0.01, low=-0.12, high=-0.08, count=2)),
            _cell("mfcc", scores={}, runs=0),
            _cell("waveform+log_mel", scores=pair),
        ],
    }
    (tmp_path / "results.json").write_text(json.dumps(results))
    return tmp_path


def test_the_path_of_the_clips_and_cells_without_scores_are_left_out(folder):
    result = experiment.record(folder, corpus="ESC-50")
    assert "someone" not in json.dumps(result)
    assert [cell["name"] for cell in result["cells"]] == ["log_mel", "waveform+log_mel"]
    assert result["cells"][0]["runs"][1]["scores"] == {"both": 0.5}


def test_a_training_that_failed_is_not_passed_over(folder):
    results = json.loads((folder / "results.json").read_text())
    results["cells"][1]["runs"] = [{"seed": 2, "state": "failed", "error": "out of memory"}]
    (folder / "results.json").write_text(json.dumps(results))
    with pytest.raises(SystemExit, match="mfcc, seed 2 failed"):
        experiment.record(folder, corpus="ESC-50")


def test_cells_with_fewer_trainings_are_named_and_their_differences_explained(folder):
    results = json.loads((folder / "results.json").read_text())
    del results["cells"][0]["runs"][1]
    results["cells"][2]["against_reference"] = _summary(0.03)
    (folder / "results.json").write_text(json.dumps(results))
    result = experiment.record(folder, corpus="ESC-50")
    assert experiment.unfinished(result) == ["log_mel (1)"]
    text = " ".join(experiment_table.render(result).split())
    assert "cells with fewer seeds ran with a smaller `--seeds`, and are compared with the same seeds of the" in text
    assert "+3.0 (1 seed) points" in text  # Of the two that the cell has.


def test_the_plot_of_what_was_kept_is_that_of_the_results(folder):
    record = experiment.record(folder, corpus="ESC-50")
    results = experiment_plot.results_of(record)
    assert results.cells["waveform+log_mel"].summary("both").count == 2
    assert results.cells["mfcc"].runs == []
    assert results.settings["seeds"] == 2
    drawn = plot.figure(results)
    assert "preset tiny, ESC-50, cpu-minutes=15 each, 2 seeds, trainer.batch_size=64" in drawn.get_suptitle()


@pytest.mark.parametrize("name", docs.PLOTS)
def test_kept_figures_are_drawn_with_the_scores_of_their_tables(name):
    record = json.loads((RESULTS / f"{name}.json").read_text())
    results = experiment_plot.results_of(record)
    assert [cell["name"] for cell in record["cells"]] == [
        name for name, cell in results.cells.items() if cell.feature_sets
    ]
    for cell in record["cells"]:
        for features, summaries in cell["scores"].items():
            summary = dataclasses.asdict(results.cells[cell["name"]].summary(features))
            assert summary == pytest.approx(summaries["trained"])
    assert plot.draw(results).startswith(b"\x89PNG")


def test_figures_of_a_cell_that_is_gone_are_not_drawn(folder):
    record = experiment.record(folder, corpus="ESC-50")
    record["cells"][0]["name"] = "smell"
    with pytest.raises(SystemExit, match="figure2 has no cell smell any more: run it again"):
        experiment_plot.results_of(record)


def test_the_table_has_a_row_for_each_set_of_features(folder):
    text = experiment_table.render(experiment.record(folder, corpus="ESC-50"))
    table = [[part.strip() for part in line.strip("|\n").split("|")] for line in text.splitlines() if line[:1] == "|"]
    against = "-10.0 (-12.0 to -8.0) points"
    assert table[2] == ["log_mel", "log-mel", "50.0 %", "", "40.0 %", against, "1", "1,234", "41.6", "15.2"]
    assert table[3] == [
        "waveform+log_mel",
        "waveform",
        "45.0 ± 1.0 %",
        "41.0 to 49.0 %",
        "30.0 %",
        "",
        "2",
        "1,234",
        "41.6",
        "15.2",
    ]
    assert table[4] == ["", "both", "60.0 ± 2.0 %", "50.0 to 70.0 %", "45.0 %", "", "", "", "", ""]
    command = "diptych ablate figure2 --preset tiny --data ESC-50 --only log_mel waveform+log_mel --seeds 2"
    assert f"`{command} --budget cpu-minutes=15 trainer.batch_size=64`" in text.replace("\n", " ")


def test_a_cell_of_which_no_training_ran_in_one_go_has_no_time(folder):
    results = json.loads((folder / "results.json").read_text())
    results["cells"][0]["cpu_minutes"] = None
    (folder / "results.json").write_text(json.dumps(results))
    text = experiment_table.render(experiment.record(folder, corpus="ESC-50"))
    assert "| 1 | 1,234 | 41.6 |  |\n" in text


def test_the_papers_table_has_its_numbers_beside_ours(folder):
    text = experiment_table.render_beside_paper(experiment.record(folder, corpus="ESC-50"))
    assert "| L3 |  |  | 79.3 % |" in text
    assert "| Ours | 60.0 ± 2.0 % | 50.0 to 70.0 % | 90.0 % |" in text


def test_a_table_of_several_columns_has_the_papers_numbers_below_ours(folder):
    results = json.loads((folder / "results.json").read_text())
    results["places"] = [
        {"block": "Crop", "row": "score", "column": "2", "cell": "log_mel", "features": "log_mel", "paper": 0.336},
        {"block": "Crop", "row": "score", "column": "9", "cell": "mfcc", "features": "both", "paper": 0.3},
        {"block": "Crop", "row": "score", "column": "4", "cell": "log_mel", "features": "log_mel", "paper": 0.344},
        {"block": "Shift", "row": "score", "column": "4", "cell": "log_mel", "features": "log_mel", "paper": 0.333},
        {"block": "Latent", "row": "score", "column": "9", "cell": "mfcc", "features": "both", "paper": None},
        {"block": "Nets", "row": "a", "column": "x", "cell": "log_mel", "features": "log_mel", "paper": None},
        {"block": "Nets", "row": "b", "column": "y", "cell": "waveform+log_mel", "features": "both", "paper": None},
    ]
    (folder / "results.json").write_text(json.dumps(results))
    text = experiment_table.render_grid(experiment.record(folder, corpus="ESC-50"))
    rows = [line for line in text.splitlines() if line.startswith("|") and "---" not in line]
    assert rows == [
        "| Crop | 2 | 4 |",
        "| trained | 50.0 % | 50.0 % |",
        "| untrained | 40.0 % | 40.0 % |",
        "| steps | 1,234 | 1,234 |",
        "| the paper's mAP | 0.336 | 0.344 |",
        "| Nets | x | y |",
        "| a, trained | 50.0 % |  |",
        "| a, untrained | 40.0 % |  |",
        "| b, trained |  | 60.0 ± 2.0 % |",
        "| b, untrained |  | 45.0 % |",
    ]
    assert "\n\nLeft out, as fewer than two of their cells have finished: Shift, Latent.\n" in text
    results["experiment"] = "table4"
    (folder / "results.json").write_text(json.dumps(results))
    text = experiment_table.render_grid(experiment.record(folder, corpus="ESC-50"))
    assert "| the paper's accuracy | 0.336 | 0.344 |" in text
