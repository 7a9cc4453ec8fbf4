"""Jobs with several worker processes at once, one of which is killed in the midst."""

import os
import pathlib
import signal
import subprocess
import sys
import time

import pytest

from tests import corpora
from tests.components.audio_example_gen import job_service
from tests.processes import decoders_of, descendants, in_session, wait_until

pytestmark = pytest.mark.slow

ROOT = pathlib.Path(__file__).parents[3]
WORKERS = 3
SHARDS = 12
PROCESSES = ("--direct_running_mode=multi_processing", f"--direct_num_workers={WORKERS}")


@pytest.fixture(scope="module")
def source(tmp_path_factory):
    """A source with clips so long that each worker is busy for seconds."""
    folder = corpora.audioset(tmp_path_factory.mktemp("source") / "as", train=30, evaluation=6)
    for file in (folder / "audio").iterdir():
        corpora.write_tone(file, seconds=60, sample_rate=44100)
    return folder


@pytest.fixture(scope="module")
def undisturbed(source, tmp_path_factory):
    """The content of all files of a job in threads, by name."""
    folder = tmp_path_factory.mktemp("undisturbed")
    with started(source, folder) as process:
        assert process.wait(timeout=900) == 0
    return published(folder)


def started(source, folder, *beam_args):
    command = [sys.executable, "-m", "tests.components.audio_example_gen.program", source, folder / "run"]
    folder.mkdir(exist_ok=True)
    with (folder / "messages").open("w") as messages:
        return subprocess.Popen(
            [*command, f"--shards={SHARDS}", *beam_args], cwd=ROOT, stderr=messages, start_new_session=True
        )


def published(folder):
    return corpora.contents(folder / "run" / "outputs" / "examples")


def finished(folder):
    return len(list((folder / "run" / "work" / "_done").glob("*.json")))


def busy_workers(*pids):
    """Returns the ids of the worker processes below some processes that have started to decode."""
    below = [pid for parent in pids for pid, command in descendants(parent).items() if "apache_beam" in command]
    return {pid for pid in below if decoders_of(pid)}


def kill_last_worker(process, *pids):
    """Kills the last worker that becomes busy, once all were. Returns the ids of its decoders."""
    seen = set()
    deadline = time.monotonic() + 900
    while len(seen) < WORKERS:
        assert process.poll() is None
        assert time.monotonic() < deadline
        new = busy_workers(*pids) - seen
        seen |= new
    killed = new.pop()
    decoders = decoders_of(killed)
    os.kill(killed, signal.SIGKILL)
    return decoders


def watch(process, *pids):
    """Waits for the end of a job without an error, and returns the ids of all workers that were ever busy."""
    busy = set()
    while process.poll() is None:
        busy |= busy_workers(*pids)
        time.sleep(0.05)
    assert process.returncode == 0
    return busy


class TestOnThisMachine:
    def test_a_killed_worker_ends_the_job_with_one_sentence_and_the_same_command_goes_on(
        self, source, undisturbed, tmp_path
    ):
        with started(source, tmp_path, *PROCESSES) as process:
            kill_last_worker(process, process.pid)
            assert process.wait(timeout=600) == 1
        messages = (tmp_path / "messages").read_text()
        assert "UserError: a worker process of the Beam job was killed (Killed): run the same command again" in messages
        assert "Exception in thread" not in messages
        assert "Failed to read inputs" not in messages
        assert not published(tmp_path)
        assert finished(tmp_path) < SHARDS
        wait_until(lambda: not in_session(process.pid), seconds=20)

        with started(source, tmp_path, *PROCESSES) as process:
            assert process.wait(timeout=900) == 0
        assert published(tmp_path) == undisturbed


class TestOnAJobService:
    """The service stands in for a cluster: each worker has an address, a parent and a folder of its own."""

    def test_several_workers_write_the_same_files_however_long_the_job_takes(self, source, undisturbed, tmp_path):
        with job_service.spread(tmp_path, workers=WORKERS) as (flags, pids):
            # Beam itself gives up a job that takes longer than this time, which is meant for the connection.
            with started(source, tmp_path, *flags, "--job_server_timeout=5") as process:
                before = time.monotonic()
                busy = watch(process, *pids)
                assert time.monotonic() - before > 5
            assert len(busy) == WORKERS
        assert published(tmp_path) == undisturbed

    def test_of_a_killed_worker_nothing_is_published_and_the_same_command_goes_on(self, source, undisturbed, tmp_path):
        """Beam's local service does not notice the death, so the job waits until it is interrupted."""
        with job_service.spread(tmp_path, workers=WORKERS) as (flags, pids):
            with started(source, tmp_path, *flags) as process:
                decoders = kill_last_worker(process, *pids)
                wait_until(lambda: not any(pathlib.Path(f"/proc/{pid}").exists() for pid in decoders), seconds=20)
                time.sleep(1)
                assert process.poll() is None
                process.send_signal(signal.SIGINT)
                process.wait(timeout=300)
            assert "KeyboardInterrupt" in (tmp_path / "messages").read_text()
            assert not published(tmp_path)
            assert not (tmp_path / "run" / "work" / "beam_job.json").exists()

            with started(source, tmp_path, *flags) as process:
                assert process.wait(timeout=900) == 0
            assert published(tmp_path) == undisturbed
            workers = [pid for parent in pids for pid in descendants(parent)]
        wait_until(lambda: not any(pathlib.Path(f"/proc/{pid}").exists() for pid in workers), seconds=30)
