"""Processes that fail, are killed, or lose the one that started them; costs that are kept; a root that is in use."""

import os
import pathlib
import signal
import subprocess
import sys

import pytest
from etils import epath

from components.errors import UserError
from pipeline import file_lock
from pipeline.configs import overrides, presets
from pipeline.experiments import processes
from pipeline.experiments.costs import Costs
from tests import processes as waiting
from tests.pipeline.experiments import other_process

REPOSITORY = pathlib.Path(__file__).parents[3]


def test_a_fresh_process_answers_or_says_how_it_ended(capfd):
    total, pid = processes.call(other_process.add, 3, 4)
    assert total == 7
    assert pid != os.getpid()
    with pytest.raises(UserError, match=r"^There is nothing to add: give two numbers\.$"):
        processes.call(other_process.refuse)
    with pytest.raises(processes.ProcessError, match=r"^ValueError: this is a bug$"):
        processes.call(other_process.crash)
    assert "in crash" in capfd.readouterr().err  # The traceback.
    with pytest.raises(processes.ProcessError, match="ended by SIGKILL, as the system does when memory is short"):
        processes.call(other_process.kill)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_a_process_stops_with_the_one_that_started_it(tmp_path, number):
    program = "import sys; from tests.pipeline.experiments import other_process; other_process.main(sys.argv[1])"
    started = subprocess.Popen([sys.executable, "-c", program, tmp_path], cwd=REPOSITORY, stderr=subprocess.DEVNULL)
    waiting.wait_until((tmp_path / "runs").exists)
    pid = int(waiting.wait_until((tmp_path / "runs").read_text))
    started.send_signal(number)
    started.wait(timeout=30)
    waiting.wait_until((tmp_path / "ended").exists)
    waiting.wait_until(lambda: not pathlib.Path(f"/proc/{pid}/cmdline").exists() or not _runs(pid))


def _runs(pid):
    try:
        return pathlib.Path(f"/proc/{pid}/cmdline").read_bytes() != b""  # A zombie has none.
    except (FileNotFoundError, ProcessLookupError):
        return False


def test_a_cost_is_measured_once_for_all_that_cost_the_same(tmp_path):
    file = epath.Path(tmp_path) / "costs.json"
    trainer = presets.config("tiny").trainer
    measured = []

    def measure():
        measured.append(len(measured))
        return {"cpu_s_per_step": 2.0 + len(measured), "steps": 9}

    def cost(digest="examples", **values):
        changed = overrides.replace(trainer, values)
        return Costs(file).find_or_measure(changed, examples=digest, measure=measure)

    assert Costs(file).find(trainer, examples="examples") is None
    assert [cost(), cost(seed=3, steps=7, temperature=0.5, learning_rate=0.01, eval_every=3)] == [3.0, 3.0]
    assert cost(batch_size=32) == 4.0
    assert cost("other examples") == 5.0
    assert cost(**{"model.crop_seconds": 2.0}) == 6.0
    assert (cost(), len(measured)) == (3.0, 4)


@pytest.mark.parametrize("content", ["{", "[]", '{"a": {"cpu_s_per_step": 0}}', '{"a": 3}'])
def test_a_damaged_file_of_costs_is_named(tmp_path, content):
    file = epath.Path(tmp_path) / "costs.json"
    file.write_text(content)
    with pytest.raises(UserError, match=r"costs\.json is damaged: remove it"):
        Costs(file).find(presets.config("tiny").trainer, examples="")


def test_one_command_at_a_time_uses_a_root(tmp_path):
    words = ["ablate", "recipe", "--preset", "quickstart", "--root", str(tmp_path)]
    with file_lock.held(tmp_path / "experiments" / ".lock"):
        done = subprocess.run(
            [sys.executable, "-m", "pipeline.cli", *words], cwd=REPOSITORY, capture_output=True, text=True
        )
    assert done.returncode == 2
    assert done.stderr.startswith(f"diptych: Another diptych ablate (process {os.getpid()} on ")
    assert "as --print shows" in done.stderr
