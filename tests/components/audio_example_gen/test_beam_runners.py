"""The data stages write the same files under each Beam runner that works on this machine."""

import hashlib

import pytest

from components.audio_example_gen import AudioExampleGen, AudioExampleGenConfig
from components.statistics_gen import StatisticsGen, StatisticsGenConfig
from tests import corpora
from tests.components import harness
from tests.components.audio_example_gen import job_service

pytestmark = pytest.mark.usefixtures("blank_pictures")


def execute(source, folder, *beam_args):
    """Executes both stages. Returns the digest of each TFRecord file, the quarantine and the statistics."""
    gen = AudioExampleGen(AudioExampleGenConfig(source=str(source), shards=3, beam_args=beam_args))
    examples = harness.execute(gen, folder / "gen").outputs["examples"]
    stage = StatisticsGen(StatisticsGenConfig(players=0, beam_args=beam_args))
    statistics = harness.execute(stage, folder / "statistics", examples=examples).outputs["statistics"]
    digests = {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in examples.glob("*.tfrecord*")}
    return digests, (examples / "quarantine.csv").read_text(), (statistics / "statistics.json").read_text()


@pytest.fixture(scope="module")
def source(tmp_path_factory):
    folder = corpora.audioset(tmp_path_factory.mktemp("source") / "as", train=12, evaluation=4)
    (folder / "audio" / f"{corpora.ytid(2)}_20.wav").write_bytes(b"RIFF nothing")
    return folder


@pytest.fixture(scope="module")
def expected(source, tmp_path_factory):
    digests, quarantine, statistics = execute(source, tmp_path_factory.mktemp("expected"))
    assert len(digests) > 3
    assert "unreadable" in quarantine
    return digests, quarantine, statistics


@pytest.mark.slow
def test_job_service_that_starts_its_own_workers(source, expected, tmp_path):
    """The job does not depend on the launching process, because the service starts the workers from a command."""
    with job_service.running(tmp_path) as flags:
        assert execute(source, tmp_path, *flags) == expected
    assert "sdk_worker_main" in (tmp_path / "log").read_text()


@pytest.mark.slow
def test_worker_processes(source, expected, tmp_path):
    assert execute(source, tmp_path, "--direct_running_mode=multi_processing") == expected


def test_direct_runner_in_memory(source, expected, tmp_path):
    assert execute(source, tmp_path, "--runner=DirectRunner", "--direct_running_mode=in_memory") == expected
