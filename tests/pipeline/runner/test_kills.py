"""Runs that are killed at random moments leave nothing half-published, lose nothing, and the next one finishes."""

import json
import pathlib
import subprocess
import sys
import tempfile

import pytest

from tests.pipeline.runner.chain import STAGES

REPOSITORY = pathlib.Path(__file__).parents[3]


MEMORY = pathlib.Path("/dev/shm")
"""Where files are written fast. A kill of a process, unlike a power cut, loses nothing that was written."""


def kill(*, kills, seed):
    """Returns the number of kills by the stage that was running."""
    with tempfile.TemporaryDirectory(dir=MEMORY if MEMORY.is_dir() else None) as folder:
        arguments = [folder, "--kills", str(kills), "--seed", str(seed)]
        command = [sys.executable, "-m", "tests.pipeline.runner.kill_campaign", *arguments]
        done = subprocess.run(command, cwd=REPOSITORY, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-5000:]
    return json.loads(done.stdout.splitlines()[-1])["kills"]


def test_twenty_kills():
    assert sum(kill(kills=20, seed=1).values()) == 20


@pytest.mark.slow
def test_a_thousand_kills_over_all_stages():
    counts = kill(kills=1000, seed=0)
    assert sum(counts.values()) == 1000
    assert set(STAGES) | {"between stages", "gc"} == set(counts)
