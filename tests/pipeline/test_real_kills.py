"""The real pipeline is killed at random moments: nothing is half-published or lost, and the next run continues."""

import hashlib
import random
import shutil
import signal
import subprocess
import sys
import time
import zipfile

import pytest

from tests.pipeline import tiny_run
from tests.pipeline.runner import soundness

KILLS = 30


@pytest.mark.slow
@pytest.mark.timeout(5400)
def test_random_kills_of_all_stages(tmp_path):
    assert kill_at_random(tmp_path, kills=KILLS) == KILLS


def kill_at_random(folder, *, kills, seed=0):
    """Runs the pipeline in new roots, each until it has finished, and returns how often it was killed meanwhile."""
    draws = random.Random(seed)
    (folder / "clips").mkdir()
    tiny_run.write_clips(folder / "clips")
    began = time.monotonic()
    assert _start(folder, "undisturbed").wait() == 0
    duration = time.monotonic() - began
    expected = _digests(folder / "undisturbed")
    killed, number, known = 0, 0, {}
    while killed < kills:
        root = folder / f"root-{number}"
        process = _start(folder, root.name)
        try:
            status = process.wait(draws.uniform(0, duration))
        except subprocess.TimeoutExpired:
            process.send_signal(signal.SIGKILL)
            status = process.wait()
            killed += 1
        assert status in (0, -signal.SIGKILL)
        now = soundness.check(root) if root.exists() else {}
        assert not known.keys() - now.keys()
        known = now
        if status == 0:
            assert _digests(root) == expected
            shutil.rmtree(root)
            number, known = number + 1, {}
    assert _start(folder, root.name).wait() == 0
    assert _digests(root) == expected
    return killed


def _start(folder, root):
    command = [sys.executable, "-m", "pipeline.cli", *tiny_run.command(folder / "clips", folder / root)]
    return subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


def _digests(root):
    """Returns what a finished run wrote that does not hold times: "stage/output" -> digest."""
    soundness.check_finished(root)
    store = soundness.store_of(root)
    executions = {execution.stage: execution for execution in store.executions(run=store.runs()[-1])}
    assert "Pusher" in executions
    places = {"AudioExampleGen": "examples", "StatisticsGen": "statistics", "ExampleValidator": "anomalies"}
    digests = {f"{stage}/{output}": executions[stage].outputs[output].digest for stage, output in places.items()}
    (model,) = root.glob("artifacts/Trainer/model/*/model.keras")
    with zipfile.ZipFile(model) as file:
        return digests | {"weights": hashlib.sha256(file.read("model.weights.h5")).hexdigest()}
