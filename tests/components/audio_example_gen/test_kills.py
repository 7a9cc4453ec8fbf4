"""300 good clips and 60 bad ones of every cause, and a job that is killed twice on its way through them."""

import collections
import csv
import itertools
import os
import random
import signal
import subprocess
import sys
import time

import numpy as np
import pytest
import soundfile

from beam_jobs import examples
from tests import corpora
from tests.components.audio_example_gen import job_service
from tests.processes import decoders_of, is_decoder, wait_until

GOOD = 300
CAUSES = {
    "missing": 9,
    "unreadable": 8,
    "truncated": 9,
    "too short": 8,
    "silent": 8,
    "non-finite": 6,
    "wrong label": 5,
    "duplicate id": 5,
    "timed out": 2,
}
INGEST = """
import pathlib, sys
from components.audio_example_gen import AudioExampleGen, AudioExampleGenConfig
from tests.components import harness
config = AudioExampleGenConfig(source=sys.argv[1], shards=24, clip_timeout_seconds=10.0, beam_args=sys.argv[3:])
harness.execute(AudioExampleGen(config), pathlib.Path(sys.argv[2]))
"""


def make_bad(stem, cause, *, number):
    """A file that ends in quarantine for this cause."""
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
    elif cause == "timed out":
        os.mkfifo(wav)
    elif cause == "wrong label":
        corpora.write_tone(wav)


@pytest.fixture(scope="module")
def source(tmp_path_factory):
    """In AudioSet's layout; returns the folder, the ids of the good clips and [(id, cause)] of the bad ones."""
    folder = tmp_path_factory.mktemp("source") / "as"
    (folder / "audio").mkdir(parents=True)
    (folder / "class_labels_indices.csv").write_text(corpora.CLASSES)
    rows, good, bad = [], [], []
    causes = [None] * GOOD + [cause for cause, count in CAUSES.items() for _ in range(count)]
    for i, cause in enumerate(causes):
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
            make_bad(folder / "audio" / clip_id, cause, number=i)
    random.Random(1).shuffle(rows)
    (folder / "balanced_train_segments.csv").write_text(corpora.HEADER + "\n".join(rows) + "\n")
    return folder, good, bad


def start(source, folder, *beam_args):
    return subprocess.Popen([sys.executable, "-c", INGEST, str(source), str(folder), *beam_args])


@pytest.fixture(scope="module")
def undisturbed(source, tmp_path_factory):
    """Every file of a run that nothing disturbs."""
    folder = tmp_path_factory.mktemp("undisturbed")
    assert start(source[0], folder).wait() == 0
    return corpora.contents(folder / "outputs" / "examples")


def finished(folder):
    """The shards that have a record, with the time of the file."""
    work = folder / "work"
    names = [path.name.removesuffix(".json") for path in (work / "_done").glob("*.json")]
    return {name: (work / name).stat().st_mtime_ns for name in names}


def kill_after(process, folder, *, shards, seconds):
    """Kills the job some time behind its `shards`th finished shard."""
    try:
        deadline = time.monotonic() + 200
        while len(finished(folder)) < shards:
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
def test_killed_twice_it_ends_with_every_clip_written_or_quarantined_as_if_undisturbed(source, undisturbed, tmp_path):
    folder, good, bad = source
    assert (len(good), len(bad)) == (300, 60)
    run, moments = tmp_path / "killed", random.Random()
    for earliest, latest in ((1, 8), (10, 16)):
        before = finished(run)
        kill_after(start(folder, run), run, shards=moments.randint(earliest, latest), seconds=moments.uniform(0, 0.5))
        survivors = finished(run)
        assert before.items() <= survivors.items()
    assert len(survivors) < 24
    assert start(folder, run).wait() == 0
    assert survivors.items() <= finished(run).items()
    assert not list(run.rglob("*.writing"))

    output = run / "outputs" / "examples"
    info = examples.read_info(output)
    clips = itertools.chain.from_iterable(examples.dataset(output, split).as_numpy_iterator() for split in info.splits)
    assert collections.Counter(clip["clip_id"].decode() for clip in clips) == collections.Counter(good)
    with (output / "quarantine.csv").open() as file:
        left_out = collections.Counter((row["clip_id"], row["cause"]) for row in csv.DictReader(file))
    assert left_out == collections.Counter(bad)
    assert corpora.contents(output) == undisturbed


@pytest.mark.slow
def test_the_portable_job_service_writes_the_very_same(source, undisturbed, tmp_path):
    with job_service.running(tmp_path) as flags:
        assert start(source[0], tmp_path / "run", *flags).wait() == 0
    assert corpora.contents(tmp_path / "run" / "outputs" / "examples") == undisturbed
