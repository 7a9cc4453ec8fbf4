"""The stage as a process of its own: killed and run again, and on Beam's job service."""

import pathlib
import random
import signal
import subprocess
import sys

import pytest

from tests import corpora
from tests.components.audio_example_gen import job_service
from tests.components.embedder import program
from tests.processes import wait_until

ROOT = pathlib.Path(__file__).parents[3]
FILES = 12  # Three embedders, two splits, two files each.

pytestmark = pytest.mark.slow


def start(artifacts, run, *flags):
    command = [sys.executable, "-m", program.__name__, str(artifacts["examples"].parent), str(run), *flags]
    return subprocess.Popen(command, cwd=ROOT)


def embeddings_of(run):
    return corpora.contents(run / "outputs" / "embeddings")


@pytest.fixture(scope="module")
def undisturbed(artifacts, tmp_path_factory):
    run = tmp_path_factory.mktemp("undisturbed")
    assert start(artifacts, run).wait() == 0
    contents = embeddings_of(run)
    assert sum(name.endswith(".parquet") for name in contents) == FILES
    return contents


def test_a_stage_that_is_killed_twice_ends_with_the_same_bytes(artifacts, undisturbed, tmp_path):
    seed = random.SystemRandom().randrange(2**32)
    print(f"The stage is killed at times drawn with seed {seed}.")
    rng = random.Random(seed)

    def records():
        return {path: path.stat().st_mtime_ns for path in (tmp_path / "work").glob("*/_done/*.json")}

    for earliest, latest in ((1, 4), (5, 9)):
        process = start(artifacts, tmp_path)
        enough = rng.randint(earliest, latest)
        try:
            wait_until(lambda enough=enough: len(records()) >= enough, seconds=200)
            assert process.poll() is None
        finally:
            process.send_signal(signal.SIGKILL)
            process.wait()
        assert not embeddings_of(tmp_path)
    survivors = records()
    assert start(artifacts, tmp_path).wait() == 0
    assert survivors.items() <= records().items()
    assert embeddings_of(tmp_path) == undisturbed


def test_the_job_service_writes_the_same_bytes(artifacts, undisturbed, tmp_path):
    with job_service.running(tmp_path) as flags:
        assert start(artifacts, tmp_path / "run", *flags).wait() == 0
    assert embeddings_of(tmp_path / "run") == undisturbed
    assert "sdk_worker_main" in (tmp_path / "log").read_text()


def test_worker_processes_write_the_same_bytes(artifacts, undisturbed, tmp_path):
    assert start(artifacts, tmp_path, "--direct_running_mode=multi_processing").wait() == 0
    assert embeddings_of(tmp_path) == undisturbed
