"""What tells whether trainings had the same compute: when and where the cost of a step was measured, and their time."""

import csv
import dataclasses
import importlib.metadata
import io
import json
import re

import pytest
from etils import epath
from rich.console import Console

from components.trainer import Trainer
from pipeline.configs import presets
from pipeline.experiments.costs import Costs
from pipeline.experiments.outputs import terminal, write
from pipeline.experiments.results import CellResult, SeedResult
from tests.pipeline.experiments import made_up


def test_a_cost_is_measured_again_with_other_versions(tmp_path):
    file = epath.Path(tmp_path) / "costs.json"
    trainer = presets.config("tiny").trainer

    def measured(seconds):
        measure = {"cpu_s_per_step": seconds, "machine": f"host, {seconds:g} cores, AMD EPYC, Zen"}
        return Costs(file).find_or_measure(trainer, examples="examples", measure=lambda: measure)

    assert measured(2.0) == measured(3.0) == 2.0
    assert Costs(file).machine(trainer, examples="examples") == "2 cores, AMD EPYC, Zen"
    assert Costs(file).machine(trainer, examples="others") == ""
    ((key, kept),) = json.loads(file.read_text()).items()
    assert kept["versions"]["Trainer"] == Trainer.version
    assert kept["versions"]["tensorflow"] == importlib.metadata.version("tensorflow")
    for name, version in (("Trainer", -1), ("keras", "0.1")):
        older = {**kept["versions"], name: version}
        file.write_text(json.dumps({key: {**kept, "versions": older}}))
        assert Costs(file).find(trainer, examples="examples") is None
        assert measured(4.0) == Costs(file).find(trainer, examples="examples") == 4.0
    del kept["versions"]  # As an earlier version of Diptych wrote it.
    file.write_text(json.dumps({key: kept}))
    assert measured(5.0) == 2.0


@pytest.mark.parametrize("others", ["2 cores, AMD EPYC", "", "16 cores, *Xeon*"])
def test_a_table_says_if_the_cost_of_a_step_was_measured_on_different_machines(tmp_path, others):
    results = made_up.results("table4", missing="log_mel")
    for name, result in results.cells.items():
        kind = others if name == "waveform" else "2 cores, AMD EPYC"
        runs = [dataclasses.replace(run, measured_on=kind) for run in result.runs]
        results.cells[name] = dataclasses.replace(result, runs=runs)
    console = Console(file=io.StringIO(), width=100)
    terminal.show(results, console)
    write.write_all(results, epath.Path(tmp_path))
    page, shown = (tmp_path / "table.md").read_text(), console.file.getvalue()
    differ = others.startswith("16")
    assert ("16 cores, *Xeon* (waveform); 2 cores, AMD EPYC (waveform+log_mel).\n" in shown) == differ
    assert ("16 cores, \\*Xeon\\* (waveform); 2 cores, AMD EPYC (waveform+log\\_mel).\n" in page) == differ
    assert ("measured on different machines" in page) == ("measured on different machines" in shown) == differ
    cells = {cell["name"]: cell["runs"] for cell in json.loads((tmp_path / "results.json").read_text())["cells"]}
    assert {run.get("measured_on", "") for run in cells["waveform"]} == {others}


@pytest.mark.parametrize(("resumed", "minutes"), [((), 5.0), ((0,), 5.5), ((1, 2), 4.0), ((0, 1, 2), None)])
def test_the_time_of_a_cell_is_that_of_trainings_that_were_never_stopped(tmp_path, resumed, minutes):
    """Of one that went on, only the time of its last part is known."""
    results = made_up.results("figure4")
    cell = results.cells["batch-128"].cell
    runs = []
    for seed in range(3):
        evaluated = made_up.evaluated(cell, seed=seed)
        was_stopped = seed in resumed
        training = {"cpu_s": 7.0 if was_stopped else 60.0 * (4 + seed), "steps": 60}
        training["resumption"] = "resumed at step 50" if was_stopped else ""
        runs.append(SeedResult(seed=seed, steps=60, evaluated=dataclasses.replace(evaluated, training=training)))
    results.cells["batch-128"] = CellResult(cell=cell, clips_per_step=128, runs=runs)
    write.write_all(results, epath.Path(tmp_path))
    shown = "" if minutes is None else f"{minutes:.1f}"
    assert re.search(rf"^\| batch-128 \|.*\| {shown} \|$", (tmp_path / "table.md").read_text(), re.MULTILINE)
    row = next(
        row for row in csv.DictReader((tmp_path / "table.csv").read_text().splitlines()) if row["cell"] == "batch-128"
    )
    assert row["cpu_minutes"] == ("" if minutes is None else str(minutes))
