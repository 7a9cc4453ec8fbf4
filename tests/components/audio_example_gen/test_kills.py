"""A job over 300 good clips and 60 bad clips of all causes that is killed twice."""

import collections
import csv
import itertools
import json
import pathlib
import random
import signal
import subprocess
import sys
import time

import numpy as np
import pytest
import soundfile

from tests import corpora
from tests.components.audio_example_gen import job_service
from tests.components.audio_example_gen.stage import read_clips
from tests.processes import decoders_of, is_decoder, wait_until

ROOT = pathlib.Path(__file__).parents[3]
GOOD = 900  # so many that the job is not done when it is killed
CAUSES = {
    "missing": 9,
    "unreadable": 10,
    "truncated": 9,
    "too short": 8,
    "silent": 8,
    "non-finite": 6,
    "wrong label": 5,
    "duplicate id": 5,
}


def write_bad_file(stem, cause, *, number):
    """Writes a file that is quarantined for the given cause. `number` varies its format."""
    wav = stem.with_name(f"{stem.name}.wav")
    if cause == "unreadable":
        wav.with_suffix((".wav", ".mp3", ".m4a", ".webm")[number % 4]).write_bytes(bytes([number % 256]) * 5000)
    elif cause == "truncated":
        file = wav.with_suffix((".wav", ".flac", ".mp4")[number % 3])
        corpora.write_format(file, seconds=2.0)
        corpora.cut_short(file)
    elif cause == "too short":
        corpora.write_tone(wav, seconds=0.05)
    elif cause == "silent":
        soundfile.write(wav, np.zeros(8000), 16000)
    elif cause == "non-finite":
        soundfile.write(wav, np.array([0.1] * 8000 + [(np.nan, np.inf)[number % 2]]), 16000, subtype="FLOAT")
    elif cause == "wrong label":
        corpora.write_tone(wav)


@pytest.fixture(scope="module")
def source(tmp_path_factory):
    """A source in AudioSet's layout: its folder, the ids of the good clips, and (id, cause) of each bad clip."""
    folder = tmp_path_factory.mktemp("source") / "as"
    (folder / "audio").mkdir(parents=True)
    (folder / "class_labels_indices.csv").write_text(corpora.CLASSES)
    rows, good, bad = [], [], []
    bad_causes = itertools.chain.from_iterable(itertools.repeat(cause, count) for cause, count in CAUSES.items())
    for i, cause in enumerate([*itertools.repeat(None, GOOD), *bad_causes]):
        if cause == "duplicate id":
            rows.append(rows[i % GOOD])
            bad.append((good[i % GOOD], cause))
            continue
        clip_id, label = f"{corpora.ytid(i)}_{i}", "/m/nothing" if cause == "wrong label" else "/m/09x0r"
        rows.append(f'{corpora.ytid(i)}, {i}.000, {i + 0.5:.3f}, "{label}"')
        if cause is None:
            good.append(clip_id)
            suffix = corpora.FORMATS[i % len(corpora.FORMATS)]
            corpora.write_format(folder / "audio" / f"{clip_id}.{suffix}", hertz=200.0 + 5 * i)
        else:
            bad.append((clip_id, cause))
            write_bad_file(folder / "audio" / clip_id, cause, number=i)
    random.Random(1).shuffle(rows)
    (folder / "balanced_train_segments.csv").write_text(corpora.HEADER + "\n".join(rows) + "\n")
    return folder, good, bad


def start(source, folder, *beam_args):
    command = [sys.executable, "-m", "tests.components.audio_example_gen.program", source, folder]
    return subprocess.Popen([*command, "--shards=24", "--clip_timeout_seconds=10", *beam_args], cwd=ROOT)


@pytest.fixture(scope="module")
def undisturbed(source, tmp_path_factory):
    """The content of all files of a run that is not killed, by name."""
    folder = tmp_path_factory.mktemp("undisturbed")
    assert start(source[0], folder).wait() == 0
    return corpora.contents(folder / "outputs" / "examples")


def finished_shards(folder):
    """Returns the names of the shards that have a record, with the times of the files."""
    work = folder / "work"
    names = [json.loads(path.read_text())["file"] for path in (work / "_done").glob("*.json")]
    return {name: (work / name).stat().st_mtime_ns for name in names}


def kill_after(process, folder, *, shards, seconds):
    """Kills the job a number of seconds after it has finished a number of shards."""
    try:
        deadline = time.monotonic() + 200
        while len(finished_shards(folder)) < shards:
            assert process.poll() is None
            assert time.monotonic() < deadline
            time.sleep(0.01)
        time.sleep(seconds)
        assert process.poll() is None
        decoders = decoders_of(process.pid)
    finally:
        process.send_signal(signal.SIGKILL)
        process.wait()
    wait_until(lambda: not any(is_decoder(pid) for pid in decoders), seconds=20)


@pytest.mark.slow
def test_job_that_is_killed_twice_ends_with_the_same_files_as_an_undisturbed_one(source, undisturbed, tmp_path):
    folder, good, bad = source
    assert (len(good), len(bad)) == (GOOD, sum(CAUSES.values()))
    seed = random.SystemRandom().randrange(2**32)
    print(f"The job is killed at times drawn with seed {seed}.")
    run, rng = tmp_path / "killed", random.Random(seed)
    for earliest, latest in ((1, 6), (8, 12)):
        before = finished_shards(run)
        kill_after(start(folder, run), run, shards=rng.randint(earliest, latest), seconds=rng.uniform(0, 0.2))
        survivors = finished_shards(run)
        assert before.items() <= survivors.items()
    assert len(survivors) < 24
    assert start(folder, run).wait() == 0
    assert survivors.items() <= finished_shards(run).items()
    assert not list(run.rglob("*.writing"))

    output = run / "outputs" / "examples"
    written = collections.Counter(clip["clip_id"].decode() for clip in read_clips(output))
    assert written == collections.Counter(good)
    with (output / "quarantine.csv").open() as file:
        quarantined = collections.Counter((row["clip_id"], row["cause"]) for row in csv.DictReader(file))
    assert quarantined == collections.Counter(bad)
    assert corpora.contents(output) == undisturbed


@pytest.mark.slow
def test_portable_job_service_writes_the_same_files(source, undisturbed, tmp_path):
    with job_service.running(tmp_path) as flags:
        assert start(source[0], tmp_path / "run", *flags).wait() == 0
    assert corpora.contents(tmp_path / "run" / "outputs" / "examples") == undisturbed
