"""AudioExampleGen in a bucket: the same examples as on this machine, with few requests, whatever disturbs it."""

import pathlib
import signal
import subprocess
import sys
from collections import Counter

import numpy as np
import pytest
import soundfile
from etils import epath

from beam_jobs import storage
from beam_jobs.ingest import records
from pipeline import checksums, listings
from tests import corpora, emulated_bucket
from tests.components import harness
from tests.components.audio_example_gen.stage import audio_example_gen
from tests.processes import wait_until

REPOSITORY = pathlib.Path(__file__).parents[3]
CLIPS = 40
OTHERS = 100
"""Number of requests that do not depend on the number of shards. Half of them are TensorFlow's, for summaries."""


@pytest.fixture(scope="module")
def source(tmp_path_factory):
    return corpora.esc50(tmp_path_factory.mktemp("source") / "esc", clips=CLIPS)


def execute(source, run, *, shards=3):
    return harness.execute(audio_example_gen(shards=shards), run, audio=source)


def publish(run):
    """Does what the runner does with a finished stage."""
    folder = run.outputs["examples"]
    digest = checksums.write(folder, staged=folder, reports={"quarantine.csv"})
    listing = listings.describe(folder)
    storage.remove_tree(run.context.work_dir)
    return digest, listing


def contents(folder):
    return {name: (folder / name).read_bytes() for name in storage.file_sizes(folder)}


def requests_of(buckets, source, shards):
    """Returns the number of shards of a run, and the kinds of its requests from the plan to the digests."""
    before = len(buckets.requests())
    run = execute(source, f"gs://bucket/{shards}", shards=shards)
    publish(run)
    return run.result.figures["shards"], [request.kind for request in buckets.requests(start=before)]


@pytest.mark.slow
def test_a_shard_takes_four_requests(buckets, source):
    shards, kinds = requests_of(buckets, source, 20)
    assert shards >= 20
    assert len(kinds) <= 4 * shards + OTHERS
    assert kinds.count("list") <= 40  # However many shards there are, see the next test.


@pytest.mark.slow
def test_another_shard_takes_at_most_four_requests_more_and_no_listing(buckets, source):
    (few, kinds_of_few), (many, kinds_of_many) = (requests_of(buckets, source, shards) for shards in (4, 20))
    assert many - few >= 16
    assert len(kinds_of_many) - len(kinds_of_few) <= 4 * (many - few)
    assert kinds_of_many.count("list") - kinds_of_few.count("list") <= 2


@pytest.mark.slow
def test_a_shard_of_real_size_takes_four_requests(buckets, tmp_path):
    """A small one takes three."""
    requests = {}
    rng = np.random.default_rng(1)
    for name, seconds in (("small", 0.5), ("real", 150)):
        (tmp_path / name).mkdir()
        for number in range(CLIPS):
            sound = rng.integers(-20000, 20000, round(16000 * seconds), np.int16)
            soundfile.write(tmp_path / name / f"{number}.wav", sound, 16000)
        before = len(buckets.requests())
        run = execute(tmp_path / name, f"gs://bucket/{name}", shards=1)
        publish(run)
        requests[name] = Counter(one.kind for one in buckets.requests(start=before) if one.client == "google")
    sizes = storage.file_sizes(run.outputs["examples"]).values()
    assert max(sizes) > 128 * 2**20
    more = {kind: requests["real"][kind] - requests["small"][kind] for kind in ("read", "upload", "copy")}
    assert more == {"read": 0, "upload": sum(size > 8 * 2**20 for size in sizes), "copy": 0}


@pytest.mark.slow
def test_disturbed_it_writes_what_it_writes_undisturbed_on_this_machine(buckets, source, tmp_path, monkeypatch):
    emulated_bucket.hurry(monkeypatch)
    buckets.disturb(every=5, answers=[429, 503, 0.0])
    remote, local = execute(source, "gs://bucket/run"), execute(source, tmp_path / "run")
    assert contents(remote.outputs["examples"]) == contents(local.outputs["examples"])
    assert remote.result.figures == local.result.figures
    assert publish(remote)[0] == publish(local)[0]
    assert not storage.file_sizes("gs://bucket/run/work")


@pytest.mark.slow
def test_a_job_that_is_killed_goes_on_where_it_was(buckets, source, tmp_path):
    work = epath.Path("gs://bucket/run/work")
    command = [sys.executable, "-m", "tests.components.audio_example_gen.program", str(source), "gs://bucket/run"]
    process = subprocess.Popen([*command, "--shards=20"], cwd=REPOSITORY)
    try:
        wait_until(lambda: len(records.finished(work)) >= 5, seconds=200)
        assert process.poll() is None
    finally:
        process.send_signal(signal.SIGKILL)
        process.wait()
    done = {record.file for record in records.finished(work)}
    before = len(buckets.requests())
    run = execute(source, "gs://bucket/run", shards=20)
    uploads = [one.path for one in buckets.requests(start=before) if one.kind == "upload" and one.client == "google"]
    assert len(uploads) < run.result.figures["shards"] - len(done) + 12
    assert contents(run.outputs["examples"]) == contents(execute(source, tmp_path, shards=20).outputs["examples"])
