"""Several attempts at one shard: of a runner that tries again, of a job that was thought dead, of a killed process."""

import builtins
import dataclasses
import hashlib
import json
import os
import signal
import subprocess
import sys
import threading

import pytest
import tensorflow as tf
from etils import epath

from beam_jobs import audio, examples, sources
from beam_jobs.ingest import job, plan, records
from tests import corpora
from tests.beam_jobs.ingest import killed_attempt
from tests.beam_jobs.ingest.ingest_source import SAMPLE_RATE, ingest, job_of

pytestmark = pytest.mark.usefixtures("kept_decoders")

CLIPS = 5


@pytest.fixture
def source(tmp_path):
    for i in range(CLIPS):
        corpora.write_tone(tmp_path / "source" / f"{i}.wav", hertz=300.0 + 100 * i)
    return tmp_path / "source"


@pytest.fixture
def work(tmp_path):
    return epath.Path(tmp_path / "work")


def plan_one_shard(source, work):
    """Plans all clips of a source as one shard, and returns it with the job."""
    listing = sources.list_clips(source)
    clips = [dataclasses.replace(clip, split="train") for clip in listing.clips]
    (shard,) = plan.plan_shards(clips, sample_rate=SAMPLE_RATE, shards=1)
    (work / "_done").mkdir(parents=True)
    plan.save(work, [shard])
    return shard, job_of(listing, rules=audio.Rules(timeout_s=0.4))


def attempt(work, shard, job_):
    write = job.WriteShard(job_, work_dir=str(work))
    write.setup()
    try:
        list(write.process(shard.file))
    finally:
        write.teardown()


def files(work):
    return sorted(path.name for path in work.iterdir() if ".tfrecord-" in path.name)


def check_consistent(work, shard):
    """Checks that the record describes the file that it names, and returns the record."""
    record = json.loads((work / "_done" / f"{shard.file}.json").read_text())
    content = (work / record["file"]).read_bytes()
    assert (len(content), hashlib.sha256(content).hexdigest()) == (record["bytes"], record["sha256"])
    assert len(list(tf.data.TFRecordDataset(str(work / record["file"])))) == record["clips"]
    assert record["clips"] + len(record["quarantined"]) == CLIPS
    return record


class Turnstile:
    """Stops each attempt between its file and its record, until it is let through."""

    def __init__(self, monkeypatch):
        self._write, self._arrived, self._may_go = records.write, {}, {}
        monkeypatch.setattr(records, "write", self._stop)

    def start(self, name, *args):
        self._arrived[name], self._may_go[name] = threading.Event(), threading.Event()
        thread = threading.Thread(target=attempt, args=args, name=name)
        thread.start()
        assert self._arrived[name].wait(60)
        return thread

    def let_through(self, thread):
        self._may_go[thread.name].set()
        thread.join(60)
        assert not thread.is_alive()

    def _stop(self, work, record):
        name = threading.current_thread().name
        self._arrived[name].set()
        assert self._may_go[name].wait(60)
        self._write(work, record)


@pytest.mark.parametrize(
    ("hanging", "order"),
    [
        ("a", "aabb"),
        ("b", "abab"),
        ("a", "abba"),
        *(pytest.param(*case, marks=pytest.mark.slow) for case in (("b", "aabb"), ("a", "abab"), ("b", "abba"))),
    ],
)
def test_record_and_file_are_of_one_attempt_in_whatever_order_two_attempts_write(
    source, work, monkeypatch, order, hanging
):
    """Each letter is one step of an attempt, first its file and then its record. One meets an endless clip."""
    monkeypatch.setattr("time.sleep", lambda seconds: None)
    shard, job_ = plan_one_shard(source, work)
    clip = source / shard.clips[0].path
    content = clip.read_bytes()
    turnstile, threads = Turnstile(monkeypatch), {}
    for name in order:
        if name in threads:
            turnstile.let_through(threads[name])
            continue
        clip.unlink()
        if name == hanging:
            corpora.write_silence(clip, hours=12)
        else:
            clip.write_bytes(content)
        if order != "aabb" or name == "a":
            threads[name] = turnstile.start(name, work, shard, job_)
        else:
            # The first attempt has committed. A second one that finds that out has nothing to do.
            attempt(work, shard, job_)
            break
    last = order[-1] if order != "aabb" else "a"
    record = check_consistent(work, shard)
    assert len(record["quarantined"]) == (last == hanging)
    records.remove_other_attempts(work, [records.read(work, shard.file)])
    assert files(work) == [record["file"]]


def test_attempt_that_finishes_after_the_job_has_ended_harms_neither_its_result_nor_the_next_run(
    source, work, monkeypatch
):
    monkeypatch.setattr("time.sleep", lambda seconds: None)
    shard, job_ = plan_one_shard(source, work)
    clip = source / shard.clips[0].path
    content = clip.read_bytes()
    clip.unlink()
    corpora.write_silence(clip, hours=12)
    turnstile = Turnstile(monkeypatch)
    late = turnstile.start("late", work, shard, job_)
    clip.unlink()
    clip.write_bytes(content)
    monkeypatch.setattr(records, "write", turnstile._write)
    (result,) = job.write_shards([shard], job=job_, work_dir=work)
    turnstile.let_through(late)
    assert records.read(work, shard.file).clips == CLIPS - 1
    assert hashlib.sha256((work / result.file).read_bytes()).hexdigest() == result.sha256
    (again,) = job.write_shards([shard], job=job_, work_dir=work)
    assert again == result
    assert check_consistent(work, shard)["clips"] == CLIPS
    assert files(work) == [result.file]


def test_process_that_is_killed_between_file_and_record_leaves_nothing_to_confuse_the_next_one(source, work):
    command = [sys.executable, "-m", killed_attempt.__name__, str(source), str(work)]
    assert subprocess.run(command, check=False).returncode == -signal.SIGKILL
    assert files(work)
    assert not list((work / "_done").iterdir())
    (source / "0.wav").unlink()  # So that the next attempt has other bytes than the killed one.
    corpora.write_tone(source / "0.wav", hertz=1000.0)
    written = ingest(source, work)
    assert sum(record.clips for record in written) == CLIPS
    assert files(work) == sorted(record.file for record in written)


def test_a_record_that_a_power_cut_has_damaged_is_written_again(source, work):
    before = ingest(source, work)
    for content in ("", '{"shard": "audio', "{}", "[]"):
        for path in [*(work / "_done").iterdir(), work / "_plan" / "workers"]:
            if path.exists():
                path.write_text(content)
        assert records.finished(work) == [], content
        assert ingest(source, work) == before, content


def test_an_interrupted_job_goes_on_when_its_source_was_moved(source, work):
    before = ingest(source, work)
    for name in files(work):
        os.utime(work / name, (1, 1))
    assert ingest(source.rename(source.with_name("moved")), work) == before
    assert {os.stat(work / name).st_mtime for name in files(work)} == {1}


def test_the_digest_is_taken_while_writing(source, work, monkeypatch):
    read_sizes = []
    real_open = builtins.open

    def counting_open(file, mode="r", *args, **kwargs):
        if ".tfrecord-" in str(file) and "r" in mode and not str(file).endswith(".json"):
            read_sizes.append(os.path.getsize(file))
        return real_open(file, mode, *args, **kwargs)

    shard, job_ = plan_one_shard(source, work)
    monkeypatch.setattr(builtins, "open", counting_open)
    monkeypatch.setattr("io.open", counting_open)
    attempt(work, shard, job_)
    assert read_sizes == []
    check_consistent(work, shard)
    assert read_sizes  # What reads the file is counted.


def test_a_file_has_the_bytes_that_tensorflow_writes(tmp_path):
    records_ = [b"", b"a", os.urandom(100_000)]
    with examples.Writer(epath.Path(tmp_path / "ours")) as writer:
        for record in records_:
            writer.write(record)
    with tf.io.TFRecordWriter(str(tmp_path / "theirs")) as theirs:
        for record in records_:
            theirs.write(record)
    content = (tmp_path / "ours").read_bytes()
    assert content == (tmp_path / "theirs").read_bytes()
    assert writer.digest == (hashlib.sha256(content).hexdigest(), len(content))
