"""Tables, plot and TensorBoard of results that are made up."""

import csv
import dataclasses
import io
import json
import re

import numpy as np
import pytest
from etils import epath
from matplotlib import image
from rich.console import Console
from scipy import stats
from tensorboard.backend.event_processing import event_file_loader
from tensorboard.plugins.hparams import plugin_data_pb2

from pipeline.experiments import catalog, intervals
from pipeline.experiments.outputs import plot, tables, terminal, wording, write
from pipeline.experiments.results import CellResult, SeedResult
from tests.pipeline.experiments import made_up


def rows_of(text):
    return list(csv.DictReader(io.StringIO(text)))


@pytest.mark.parametrize("values", [[0.5, 0.6], [0.1, 0.4, 0.35, 0.2, 0.9], [0.25] * 3])
def test_intervals_are_those_of_scipy(values):
    summary = intervals.summarize(values)
    assert (summary.mean, summary.sd, summary.count) == (
        pytest.approx(np.mean(values)),
        pytest.approx(np.std(values, ddof=1)),
        len(values),
    )
    low, high = summary.mean, summary.mean
    if summary.sd:
        low, high = stats.t.interval(0.95, len(values) - 1, loc=np.mean(values), scale=stats.sem(values))
    assert (summary.low, summary.high) == (pytest.approx(low), pytest.approx(high))


def test_one_score_has_no_interval():
    assert intervals.summarize([]) is None
    summary = intervals.summarize([0.4])
    assert (summary.mean, summary.sd, summary.low, summary.high) == (0.4, None, None, None)


@pytest.mark.parametrize("name", catalog.EXPERIMENTS)
def test_every_experiment_writes_its_files(tmp_path, name):
    results = made_up.results(name)
    write.write_all(results, epath.Path(tmp_path))
    written = {file.name for file in tmp_path.iterdir()}
    assert written == {"table.md", "table.csv", "results.json", "plot.png", "tensorboard"}
    content = json.loads((tmp_path / "results.json").read_text())
    assert [cell["name"] for cell in content["cells"]] == list(results.cells)
    assert content["cells"][0]["runs"][2]["scores"]["both"] == pytest.approx(0.52)
    assert content["metric"] == "accuracy"
    picture = image.imread(tmp_path / "plot.png")
    assert picture.shape[0] > 200
    assert picture[..., :3].std() > 0.02
    page = (tmp_path / "table.md").read_text()
    for place in results.layout.places:
        if place.paper is not None:
            assert f"{place.paper:.3f}" in page
    for line in page.splitlines():  # All rows of a table have the cells of its header.
        if line.startswith("| ---"):
            columns = line.count("|")
        elif line.startswith("|"):
            assert line.count("|") >= 3
    assert columns


@pytest.mark.parametrize(("name", "is_shown"), [("figure2", False), ("table4", True)])
def test_bars_show_the_papers_numbers_only_beside_scores_of_the_same_metric(name, is_shown):
    (axes,) = plot.figure(made_up.results(name)).axes  # Accuracies; the paper's figure 2 is mAP.
    assert ("paper" in [text.get_text() for text in axes.get_legend().get_texts()]) == is_shown


def test_rows_of_the_paper_alone_are_no_bars_without_its_numbers():
    results = made_up.results("table3")
    (axes,) = plot.figure(results).axes
    rows = [label.get_text() for label in axes.get_yticklabels()]
    assert rows == [place.row for place in results.layout.places if place.cell]


def test_the_page_says_which_cells_an_override_is_for():
    page = tables.markdown(made_up.results("figure4"))
    assert "For all cells that do not set it themselves: `a.b=1`.\n" in page


def test_differences_in_percent_are_points():
    summary = intervals.Summary(mean=-0.275, sd=0.02, low=-0.334, high=-0.216, count=3)
    assert wording.difference(summary, seeds=3, percent=True) == "-27.5 (-33.4 to -21.6) points"
    assert wording.difference(summary, seeds=3) == "-0.275 (-0.334 to -0.216)"
    alone = intervals.Summary(mean=0.034, sd=None, low=None, high=None, count=1)
    assert wording.difference(alone, seeds=1, percent=True) == "+3.4 points"
    assert wording.interval(summary, percent=True) == "-33.4 to -21.6 %"


def test_table_2_stands_as_in_the_paper():
    page = tables.markdown(made_up.results("table2"))
    assert "|  | conv160 | conv320 | conv640 | conv1280 | conv2560 |" in page
    assert "| cnn6 | 0.510 ± 0.010 | 0.520 ± 0.010 |" in page
    assert "| cnn10, paper | 0.303 | 0.313 | 0.320 | 0.320 | 0.322 |" in page


def test_table_4_scores_one_training_by_each_encoder_beside_other_methods():
    page = tables.markdown(made_up.results("table4", seeds=1))
    assert "| MMV: log-mel, video, text → log-mel |  |  |  | 0.889 |" in page
    assert "| Ours: waveform+log_mel → waveform+log_mel | 0.520 |  | 0.200 | 0.905 |" in page
    rows = rows_of(tables.comma_separated(made_up.results("table4")))
    alone = [row for row in rows if row["cell"] == "waveform"]
    assert [row["features"] for row in alone] == ["waveform"]
    assert alone[0]["paper"] == "0.849"
    assert [row["features"] for row in rows if row["cell"] == "waveform+log_mel"] == ["waveform", "log_mel", "both"]


def test_differences_are_paired_and_against_the_reference():
    results = made_up.results("recipe")
    row = next(row for row in rows_of(tables.comma_separated(results)) if row["cell"] == "conv1280")
    whole = [row for row in rows_of(tables.comma_separated(results)) if row["features"] == "both"]
    assert row["difference"] == ""  # Only all features together are compared.
    assert [float(row["difference"] or 0) for row in whole][:3] == pytest.approx([0.0, 0.01, 0.02])
    # The scores of the seeds differ by 0.01 each, and all cells by the same: the pairs have no spread.
    assert float(whole[1]["difference_low"]) == pytest.approx(float(whole[1]["difference_high"]))
    assert float(whole[1]["sd"]) == pytest.approx(0.01)


def test_a_difference_of_fewer_seeds_than_the_cell_has_says_so():
    results = made_up.results("recipe")
    reference = results.cells["reference"]
    results.cells["reference"] = dataclasses.replace(reference, runs=reference.runs[:2])
    page = tables.markdown(results)
    row = next(line for line in page.splitlines() if line.startswith("| no-mixing | both |"))
    assert "| 3 | +0.010 (+0.010 to +0.010; 2 seeds) |" in row
    rows = {row["cell"]: row for row in rows_of(tables.comma_separated(results)) if row["features"] == "both"}
    assert (rows["no-mixing"]["seeds"], rows["no-mixing"]["difference_seeds"]) == ("3", "2")


def test_cells_that_failed_or_have_not_run_are_said(tmp_path):
    results = made_up.results("figure2", failed="mfcc", missing="log_mel")
    write.write_all(results, epath.Path(tmp_path))
    page = (tmp_path / "table.md").read_text()
    assert "* mfcc, seed 0: it does not fit: make it smaller." in page
    states = {
        cell["name"]: cell["runs"][0]["state"] for cell in json.loads((tmp_path / "results.json").read_text())["cells"]
    }
    assert (states["mfcc"], states["log_mel"], states["waveform"]) == ("failed", "missing", "finished")


@pytest.mark.parametrize(
    ("trained", "shown", "kept"), [((20, 40, 60), "40", 40), ((60, 60, 59), "60", 179 / 3), ((), "60", 60)]
)
def test_steps_are_those_that_were_trained_and_before_the_planned_ones(tmp_path, trained, shown, kept):
    """`trainer.patience` stops trainings early."""
    results = made_up.results("figure4")
    cell = results.cells["batch-128"].cell
    runs = [
        SeedResult(seed=seed, steps=60, evaluated=made_up.evaluated(cell, seed=seed, steps=steps))
        for seed, steps in enumerate(trained)
    ]
    runs.append(SeedResult(seed=len(runs), steps=60))  # It has not finished.
    results.cells["batch-128"] = CellResult(cell=cell, clips_per_step=128, runs=runs)
    write.write_all(results, epath.Path(tmp_path))

    passes = kept / (1898 // 128)
    (content,) = (
        one for one in json.loads((tmp_path / "results.json").read_text())["cells"] if one["name"] == "batch-128"
    )
    assert (content["steps"], content["passes"]) == (pytest.approx(kept), pytest.approx(passes))
    page = (tmp_path / "table.md").read_text()
    assert re.search(rf"^\| batch-128 \|.*\| {shown} \| {passes:.1f} \| [\d.]* \|$", page, re.MULTILINE)
    row = next(row for row in rows_of((tmp_path / "table.csv").read_text()) if row["cell"] == "batch-128")
    assert (float(row["steps"]), float(row["passes"])) == (pytest.approx(kept), pytest.approx(passes, abs=1e-6))
    assert row["steps"] == str(kept) or len(set(trained)) == 2
    for seed, steps in enumerate(trained):
        (event,) = (tmp_path / "tensorboard" / "batch-128" / f"seed-{seed}").glob("*tfevents*")
        events = [one for one in event_file_loader.EventFileLoader(str(event)).Load() if one.summary.value]
        assert {one.step for one in events if one.summary.value[0].tag.startswith("score/")} == {steps}


@pytest.mark.parametrize(("width", "interval"), [(80, ""), (140, "0.485 to 0.535")])
def test_the_terminal_shows_what_has_run(width, interval):
    console = Console(file=io.StringIO(), width=width)
    terminal.show(made_up.results("recipe", failed="conv1280", missing="conv2560"), console)
    shown = console.file.getvalue()
    assert "failed: conv1280, seed 2: it does not fit" in shown
    assert "reference" in shown
    assert "0.510 ± 0.010" in shown
    assert interval in shown
    assert " to " in shown or width == 80
    assert "│ conv2560" not in shown


def test_nothing_at_all_can_be_written(tmp_path):
    write.write_all(made_up.results("figure4", seeds=0), epath.Path(tmp_path))


def test_tensorboard_gets_the_hyper_parameters_that_differ(tmp_path):
    write.write_all(made_up.results("figure4", seeds=2), epath.Path(tmp_path))
    events = sorted((tmp_path / "tensorboard").rglob("*tfevents*"))
    assert len(events) == 1 + 5 * 2  # `tiny`'s own batches of 64, and four others.
    (event,) = (file for file in events if "batch-512/seed-1" in str(file))
    values = [value for one in event_file_loader.EventFileLoader(str(event)).Load() for value in one.summary.value]
    data = plugin_data_pb2.HParamsPluginData()
    data.ParseFromString(values[0].metadata.plugin_data.content)
    started = data.session_start_info.hparams
    assert started["trainer.batch_size"].string_value == "512"
    assert (started["cell"].string_value, started["seed"].number_value) == ("batch-512", 1)
    assert {value.tag for value in values[1:-1]} == {"score/waveform", "score/log_mel", "score/both"}


@pytest.mark.parametrize(("seeds", "is_named"), [(1, False), (3, True)])
@pytest.mark.parametrize("name", ["figure2", "figure4"])
def test_plots_name_an_interval_only_where_there_is_one(name, seeds, is_named):
    axes = plot.figure(made_up.results(name, seeds=seeds)).axes[0]
    assert ("95 % interval" in " ".join(text.get_text() for text in axes.get_legend().get_texts())) == is_named


def test_plots_say_what_all_cells_share():
    title = plot.figure(made_up.results("figure2"))._suptitle.get_text()
    assert "preset tiny, esc50, cpu-minutes=15 each, 3 seeds, a.b=1" in title.replace("\n", " ")


@pytest.mark.parametrize(
    ("name", "only", "labels"),
    [
        ("figure4", ["batch-32"], ["32"]),
        ("figure3", ["mixing-none"], ["mixing x none"]),
        ("figure3", ["none-mixing", "time_mask-mixing"], ["none x mixing", "time_mask x mixing"]),
        ("figure3", ["mixing-none", "mixing-time_mask"], ["mixing x none", "mixing x time_mask"]),
        ("figure2", ["mfcc"], ["mfcc"]),
    ],
)
def test_bars_of_some_cells_are_called_by_what_tells_them_from_others(name, only, labels):
    results = made_up.results(name)
    for cell in results.cells.keys() - set(only):
        runs = [SeedResult(seed=run.seed) for run in results.cells[cell].runs]
        results.cells[cell] = dataclasses.replace(results.cells[cell], runs=runs)
    (axes,) = plot.figure(results).axes
    shown = [label.get_text() for label in axes.get_yticklabels()]
    assert [label for label in shown if label in labels] == labels
    assert len(axes.patches) == len(only)


def test_points_of_a_line_of_some_cells_are_called_by_their_columns():
    results = made_up.results("figure4")
    results.cells["batch-128"] = dataclasses.replace(results.cells["batch-128"], runs=[])
    (axes,) = plot.figure(results).axes
    assert [label.get_text() for label in axes.get_xticklabels()] == ["32", "64", "512", "1,792"]


@pytest.mark.parametrize(
    ("setting", "is_kept"),
    [({}, True), ({"budget": "steps=9"}, False), ({"seeds": 2}, False), ({"overrides": []}, False)],
)
def test_tables_of_other_settings_leave_no_plot_of_the_old_ones_beside_them(tmp_path, setting, is_kept):
    """A command that is killed writes no more than the tables."""
    results = made_up.results("figure4")
    write.write_all(results, epath.Path(tmp_path))
    tables_alone = dataclasses.replace(results, settings={**results.settings, **setting})
    for _ in range(2):
        write.write_tables(tables_alone, epath.Path(tmp_path))
        assert {(tmp_path / name).exists() for name in ("plot.png", "tensorboard")} == {is_kept}


@pytest.mark.parametrize("content", [None, "{", "[]", "{}"])
def test_a_plot_of_unknown_settings_is_removed(tmp_path, content):
    results = made_up.results("figure4")
    write.write_all(results, epath.Path(tmp_path))
    (tmp_path / "results.json").unlink()
    if content is not None:
        (tmp_path / "results.json").write_text(content)
    write.write_tables(results, epath.Path(tmp_path))
    assert {file.name for file in tmp_path.iterdir()} == {"table.md", "table.csv", "results.json"}
