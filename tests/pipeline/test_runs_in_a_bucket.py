"""Runs under a root in a bucket, with the command, and with the clients of Google, Beam and TensorFlow."""

import contextlib
import io
import os
import pathlib
import random
import signal
import subprocess
import sys
import time

import pytest
from etils import epath

from beam_jobs import storage
from pipeline import cli, listings
from tests import emulated_bucket
from tests.pipeline import tiny_run
from tests.processes import wait_until

REPOSITORY = pathlib.Path(__file__).parents[2]
ROOT = "gs://bucket/root"


@pytest.fixture(autouse=True)
def in_temporary_folder(tmp_path, monkeypatch):
    """The log of a run whose root is in a bucket lies in the current folder."""
    monkeypatch.chdir(tmp_path)


@pytest.fixture(scope="module")
def clips(tmp_path_factory):
    folder = tmp_path_factory.mktemp("clips")
    tiny_run.write_clips(folder)
    return folder


def arguments(data, tmp_path, *flags):
    command = [*tiny_run.command(data, ROOT), "--metadata", str(tmp_path / "metadata.sqlite"), *flags]
    return [*command, "audio_example_gen.shards=4"]


def run(data, tmp_path, *flags):
    """Runs the command in this process, and returns its exit status, the stages that ran, and its message."""
    out, err = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        status = cli.main(arguments(data, tmp_path, *flags))
    return (
        status,
        [line.partition(":")[0] for line in out.getvalue().splitlines() if ": runs, " in line],
        err.getvalue(),
    )


def plan(data, tmp_path):
    """Returns what a run would do with AudioExampleGen."""
    listings.forget()  # As a new process does.
    out = io.StringIO()
    with contextlib.redirect_stdout(out):
        assert cli.main(arguments(data, tmp_path, "--until", "AudioExampleGen", "--plan")) == 0
    return " ".join(out.getvalue().split())


def upload(folder):
    storage.copy_tree(epath.Path(folder), epath.Path("gs://bucket/clips"))
    return "gs://bucket/clips"


def test_ingest_from_and_to_a_bucket_and_a_second_run_that_finds_nothing_changed(buckets, clips, tmp_path):
    data = upload(clips)
    assert run(data, tmp_path, "--until", "AudioExampleGen")[:2] == (0, ["AudioExampleGen"])
    before = len(buckets.requests())
    assert run(data, tmp_path, "--until", "AudioExampleGen")[:2] == (0, [])
    assert len(buckets.requests()) - before <= 20
    for file, reason in (
        (f"{ROOT}/artifacts/AudioExampleGen/examples/1/features.json", "published examples missing or altered"),
        (f"{data}/0.wav", "source changed"),
    ):
        assert reason not in plan(data, tmp_path)
        content = epath.Path(file).read_bytes()
        epath.Path(file).write_bytes(content[:-1] + b"?")  # Of the same size.
        assert reason in plan(data, tmp_path)
        epath.Path(file).write_bytes(content)


@pytest.mark.slow
def test_all_stages_disturbed_and_a_second_run_that_takes_at_most_twenty_requests(
    buckets, clips, tmp_path, monkeypatch
):
    emulated_bucket.hurry(monkeypatch)
    buckets.disturb(every=31, answers=[429, 503, 0.0])
    data, served = upload(clips), epath.Path("gs://bucket/served")
    flags = (f"pusher.destination={served}", "pusher.version=7")
    status, ran, error = run(data, tmp_path, *flags)
    assert (status, ran, error) == (0, list(tiny_run.STAGES), "")
    buckets.disturb()
    before = len(buckets.requests())
    assert run(data, tmp_path, *flags)[:2] == (0, [])
    assert len(buckets.requests()) - before <= 20
    assert {"google", "tensorflow"} <= {request.client for request in buckets.requests()}
    # A training of four steps may not be blessed, so what is pushed needs no score.
    unscored = (flags[0], "pusher.version=8", "evaluator.probe=none")
    assert run(data, tmp_path, *unscored)[:2] == (0, ["Evaluator", "Pusher"])
    exported = epath.Path(f"{ROOT}/artifacts/Exporter/saved_model")
    (model,) = [folder for folder in exported.iterdir() if folder.is_dir()]
    for name in ("saved_model.pb", "variables/variables.data-00000-of-00001"):
        assert (served / "8" / name).read_bytes() == (model / name).read_bytes()


def start(data, tmp_path, service):
    command = [sys.executable, "-m", "pipeline.cli", *arguments(data, tmp_path)]
    environment = {**os.environ, **service.environment}
    return subprocess.Popen(command, cwd=tmp_path, env={**environment, "PYTHONPATH": str(REPOSITORY)})


@pytest.mark.slow
def test_a_run_that_is_killed_at_random_times_ends_whole(buckets, clips, tmp_path):
    data, seed = upload(clips), random.SystemRandom().randrange(2**32)
    print(f"The run is killed at times drawn with seed {seed}.")
    rng = random.Random(seed)
    for _ in range(3):
        process = start(data, tmp_path, buckets)
        goal = len(buckets.requests()) + rng.randint(20, 600)
        try:
            wait_until(
                lambda goal=goal, process=process: len(buckets.requests()) >= goal or process.poll() is not None,
                seconds=900,
            )
        finally:
            process.send_signal(signal.SIGKILL)
            process.wait()
    assert start(data, tmp_path, buckets).wait(900) == 0
    assert run(data, tmp_path)[:2] == (0, [])


@pytest.mark.slow
def test_a_second_run_of_another_process_is_refused_while_the_first_one_holds_the_lease(buckets, clips, tmp_path):
    data = upload(clips)
    process = start(data, tmp_path, buckets)
    try:
        wait_until((epath.Path(ROOT) / ".lease").exists, seconds=200)
        status, ran, message = run(data, tmp_path)
        assert (status, ran) == (2, [])
        assert f"Another diptych run (process {process.pid} on " in message
    finally:
        process.send_signal(signal.SIGKILL)
        process.wait()
    time.sleep(0.1)  # The lease of a process of this machine that has ended is taken over at once.
    assert run(data, tmp_path, "--until", "AudioExampleGen")[0] == 0


@pytest.mark.parametrize(
    ("status", "reason"),
    [
        (401, "there are no credentials"),
        (403, "the service refuses these credentials"),
        (404, "there is no such bucket"),
    ],
)
def test_a_root_that_the_service_refuses_is_named_with_the_reason(buckets, clips, tmp_path, status, reason):
    buckets.disturb(always=status)
    done, ran, message = run(clips, tmp_path)
    assert (done, ran) == (2, [])
    assert f"--root {ROOT} cannot be used ({reason}): " in message
