"""A real experiment of two cells and two seeds: killed in the middle, resumed, and put together from two roots."""

import contextlib
import json
import os
import pathlib
import re
import shutil
import signal
import subprocess
import sys

import pytest

from pipeline import file_lock
from tests import printed_commands, processes
from tests.pipeline import tiny_run

pytestmark = pytest.mark.slow

REPOSITORY = pathlib.Path(__file__).parents[3]
CELLS = ("reference", "no-mixing")
TINY = (
    "trainer.batch_size=8",
    "trainer.model.width=0.03125",
    "trainer.model.crop_seconds=0.5",
    "evaluator.mlp_epochs=1",
)


def words(clips, root, *, budget):
    command = ["ablate", "recipe", "--preset", "tiny", "--data", str(clips), "--root", str(root), "--seeds", "2"]
    return [*command, "--budget", budget, "--only", *CELLS, *TINY, "evaluator.mlp_epochs=1"]


@contextlib.contextmanager
def started(arguments, log):
    command = [sys.executable, "-m", "pipeline.cli", *arguments]
    with open(log, "w") as file:
        process = subprocess.Popen(command, cwd=REPOSITORY, stdout=file, stderr=subprocess.STDOUT)
        try:
            yield process
        finally:
            process.kill()
            process.wait()


def run(arguments, log):
    with started(arguments, log) as process:
        return process.wait(), log.read_text()


def trained(text):
    """Returns what was trained: cell and seed."""
    return re.findall(r"^recipe, \d of \d: (\S+), seed (\d), ([\d,]+) steps?$", text, re.MULTILINE)


def cells_of(root):
    content = json.loads((root / "experiments" / "recipe" / "results.json").read_text())
    return {cell["name"]: cell for cell in content["cells"]}


@pytest.fixture(scope="module")
def clips(tmp_path_factory):
    folder = tmp_path_factory.mktemp("clips")
    tiny_run.write_clips(folder)
    return folder


def test_a_command_that_was_killed_continues_and_repeats_nothing(clips, tmp_path):
    root, log = tmp_path / "root", tmp_path / "log"
    arguments = words(clips, root, budget="cpu-minutes=0.01")
    with started(arguments, log) as first:

        def trains_the_third():
            assert first.poll() is None, log.read_text()
            return "Trainer: runs" in log.read_text().partition("recipe, 3 of 4")[2]

        processes.wait_until(trains_the_third, seconds=1500)
        first.send_signal(signal.SIGKILL)
    before = trained(log.read_text())
    assert [one[:2] for one in before] == [("reference", "0"), ("no-mixing", "0"), ("reference", "1")]

    status, text = run(arguments, log)
    assert status == 0, text
    after = trained(text)
    assert [one[:2] for one in after] == [("reference", "1"), ("no-mixing", "1")]
    assert "measuring" not in text
    assert {steps for _, _, steps in before} >= {after[0][2]}  # The costs were kept.
    assert "AudioExampleGen: runs" not in text

    cells = cells_of(root)
    for name in CELLS:
        cell = cells[name]
        assert [run["state"] for run in cell["runs"]] == ["finished"] * 2
        assert [run["training"]["steps"] for run in cell["runs"]] == [cell["steps"]] * 2
        assert cell["cpu_minutes"] > 0
        assert all(run["measured_on"].startswith(f"{os.cpu_count()} cores, ") for run in cell["runs"])
        assert set(cell["scores"]) == {"waveform", "log_mel", "both"}
        assert cell["scores"]["both"]["trained"]["count"] == cell["scores"]["both"]["untrained"]["count"] == 2
    assert cells["no-mixing"]["against_reference"]["count"] == 2
    assert cells["conv1280"]["runs"][0]["state"] == "missing"
    assert (root / "experiments" / "recipe" / "plot.png").stat().st_size > 5000

    status, text = run(arguments, log)
    assert (status, trained(text)) == (0, [])
    assert cells_of(root) == cells

    # What has finished is also found after a command of one cell was begun, which has nothing yet.
    status, printed = run([*arguments, "--print"], log)
    assert status == 0
    own = root / "cells" / "reference"
    with started(printed_commands.arguments(printed.splitlines()[0]), tmp_path / "other"):
        processes.wait_until((own / "metadata.sqlite").exists, seconds=100)
    status, text = run(arguments, log)
    assert (status, trained(text)) == (0, [])
    assert cells_of(root) == cells

    # Files with a new date are read again. As their content is the same, all finished trainings are still found, also
    # those of a cell that is not selected.
    for file in clips.glob("*.wav"):
        os.utime(file)
    status, text = run([word for word in arguments if word != "no-mixing"], log)
    assert (status, trained(text)) == (0, [])
    assert "AudioExampleGen: runs, source changed" in text
    assert "2 trainings, 2 of which have finished before" in text
    assert cells_of(root) == cells


def test_a_larger_budget_trains_from_the_start(clips, tmp_path):
    """What a root holds of a smaller budget is no part of what a cell gets."""
    for place, budgets in (("both", ("steps=2", "steps=4")), ("one", ("steps=4",))):
        for budget in budgets:
            # The same validations, so that the configs differ in the steps alone.
            arguments = [*words(clips, tmp_path / place, budget=budget), "--seeds", "1", "trainer.eval_every=4"]
            status, text = run([word for word in arguments if word != "no-mixing"], tmp_path / "log")
            assert status == 0, text
            assert "goes on" not in text
    both, one = (cells_of(tmp_path / place)["reference"]["scores"] for place in ("both", "one"))
    assert both == one

    # A cell's own root that has the larger budget alone does not hide the smaller one in the shared root.
    shutil.copytree(tmp_path / "one", tmp_path / "both" / "cells" / "reference")
    for budget in ("steps=2", "steps=4"):
        arguments = [*words(clips, tmp_path / "both", budget=budget), "--seeds", "1", "trainer.eval_every=4"]
        status, text = run([word for word in arguments if word != "no-mixing"], tmp_path / "log")
        assert (status, trained(text)) == (0, [])
        assert cells_of(tmp_path / "both")["reference"]["runs"][0]["training"]["steps"] == int(budget[-1])


def test_a_cell_that_fails_is_said_and_the_others_go_on(clips, tmp_path):
    """The printed command runs one cell in a root of its own, and the whole command finds it there."""
    root, log = tmp_path / "root", tmp_path / "log"
    arguments = [*words(clips, root, budget="steps=2"), "--seeds", "1"]
    status, printed = run([*arguments, "--print"], log)
    assert status == 0
    status, text = run(printed_commands.arguments(printed.splitlines()[0]), log)
    assert (status, [one[:2] for one in trained(text)]) == (0, [("reference", "0")])

    with file_lock.held(root / "cells" / "reference" / "experiments" / ".lock"):
        status, text = run([word for word in words(clips, root, budget="steps=3") if word != "no-mixing"], log)
    assert status == 2
    assert "give this command again when that has finished reference." in text

    # Crops of a hundredth of a second are too short for Conv2560 alone.
    arguments = ["conv2560" if word == "no-mixing" else word for word in arguments]
    arguments = [word for word in arguments if not word.startswith("trainer.model.crop_seconds")]
    status, text = run([*arguments, "trainer.model.crop_seconds=0.2"], log)
    assert status == 2
    assert "conv2560, seed 0 failed: trainer.model: a crop of 0.2 s is too short for conv2560 on waveform" in text
    assert [one[0] for one in trained(text)] == ["reference", "conv2560"]
    cells = cells_of(root)
    assert (cells["reference"]["runs"][0]["state"], cells["conv2560"]["runs"][0]["state"]) == ("finished", "failed")
    assert not (root / "metadata.sqlite").exists() or not (root / "artifacts" / "Trainer").exists()
