"""The data stages under every runner that this machine has: same bytes."""

import contextlib
import hashlib
import os
import pathlib
import subprocess
import sys
import time

import pytest

from components.audio_example_gen import AudioExampleGen, AudioExampleGenConfig
from components.statistics_gen import StatisticsGen, StatisticsGenConfig
from tests import corpora
from tests.components import ingesting

ROOT = pathlib.Path(__file__).parents[2]
SEPARATE_WORKERS = ("--environment_type=beam:env:harness_subprocess_python:v1",)


def ingest(source, folder, *beam_args):
    """Runs both stages and gives the digest of each TFRecord file and the statistics."""
    gen = AudioExampleGen(AudioExampleGenConfig(source=str(source), shards=3, beam_args=beam_args))
    examples = ingesting.run(gen, folder / "gen").outputs["examples"]
    stage = StatisticsGen(StatisticsGenConfig(players=0, beam_args=beam_args))
    statistics = ingesting.run(stage, folder / "statistics", examples=examples).outputs["statistics"]
    digests = {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in examples.glob("*.tfrecord*")}
    return digests, (examples / "quarantine.csv").read_text(), (statistics / "statistics.json").read_text()


@pytest.fixture(scope="module")
def source(tmp_path_factory):
    folder = corpora.audioset(tmp_path_factory.mktemp("source") / "as", train=12, evaluation=4)
    (folder / "audio" / f"{corpora.ytid(2)}_20.wav").write_bytes(b"RIFF nothing")
    return folder


@pytest.fixture(scope="module")
def expected(source, tmp_path_factory):
    made = ingest(source, tmp_path_factory.mktemp("expected"))
    assert len(made[0]) > 3
    assert "unreadable" in made[1]
    return made


@contextlib.contextmanager
def job_service(folder):
    """Beam's local job service in a process of its own, that knows our packages but not this process."""
    port_file = folder / "port"
    command = [sys.executable, "-m", "apache_beam.runners.portability.local_job_service_main"]
    with (folder / "log").open("w") as log:
        service = subprocess.Popen(
            [*command, "--port_file", str(port_file), "--staging_dir", str(folder / "staging")],
            cwd=folder,
            env={**os.environ, "PYTHONPATH": str(ROOT)},
            stdout=log,
            stderr=subprocess.STDOUT,
        )
        try:
            while not port_file.exists():
                assert service.poll() is None, (folder / "log").read_text()
                time.sleep(0.1)
            yield f"localhost:{port_file.read_text()}"
        finally:
            service.terminate()
            service.wait()


def test_job_service_with_workers_of_its_own(source, expected, tmp_path):
    """Nothing depends on the launching process: the workers are started by another one, from a command."""
    worker = f"{sys.executable} -m apache_beam.runners.worker.sdk_worker_main"
    with job_service(tmp_path) as endpoint:
        flags = ("--runner=PortableRunner", f"--job_endpoint={endpoint}", *SEPARATE_WORKERS)
        assert ingest(source, tmp_path, *flags, f"--environment_config={worker}") == expected
    assert "sdk_worker_main" in (tmp_path / "log").read_text()


@pytest.mark.slow
def test_worker_processes_of_this_machine(source, expected, tmp_path):
    assert ingest(source, tmp_path, "--direct_running_mode=multi_processing") == expected


def test_direct_runner_in_memory(source, expected, tmp_path):
    assert ingest(source, tmp_path, "--runner=DirectRunner", "--direct_running_mode=in_memory") == expected
