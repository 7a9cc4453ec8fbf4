"""Failures that need not be damage of a file: they are tried again, in the same run and in the next one."""

import contextlib
import itertools
import os
import pathlib
import signal
import threading

import pytest
import tensorflow as tf
from etils import epath

from beam_jobs import audio, storage
from beam_jobs.audio import readers
from beam_jobs.ingest import records, retries
from beam_jobs.sources import tfds_reader, tfds_source
from tests import corpora
from tests.beam_jobs.ingest.ingest_source import ingest, read
from tests.beam_jobs.sources import tfds_datasets
from tests.processes import decoders_of

pytestmark = pytest.mark.usefixtures("kept_decoders")

EIO = pathlib.Path("/proc/self/mem")  # Opens, and reading its first page is an input/output error.


@pytest.fixture
def source(tmp_path):
    for i in range(8):
        corpora.write_tone(tmp_path / "source" / f"{i}.wav", hertz=300.0 + 100 * i)
    return tmp_path / "source"


@pytest.fixture
def pauses(monkeypatch):
    monkeypatch.setattr(retries, "_PAUSES_S", (0.05, 0.05))


def quarantine(written):
    return {entry["path"]: entry["cause"] for record in written for entry in record.quarantined}


def take_too_long(file):
    corpora.write_silence(file, hours=12)


def fail_to_read(file):
    file.unlink()
    file.symlink_to(EIO)


RULES = audio.Rules(timeout_s=0.5)


@pytest.mark.parametrize(("fault", "cause"), [(take_too_long, "timed out"), (fail_to_read, "unreadable")])
def test_a_clip_that_fails_for_a_passing_reason_is_quarantined_and_tried_again_by_the_next_run(
    source, tmp_path, pauses, fault, cause
):
    clip, work = source / "3.wav", tmp_path / "work"
    content = clip.read_bytes()
    fault(clip)
    first = ingest(source, work, rules=RULES)
    assert quarantine(first) == {"3.wav": cause}
    before = {record.file: (work / record.file).stat().st_mtime_ns for record in first if not record.transient}
    assert len(before) == len(first) - 1
    clip.unlink()
    clip.write_bytes(content)
    second = ingest(source, work, rules=RULES)
    assert quarantine(second) == {}
    assert len(read(work, second)) == 8
    assert {name: (work / name).stat().st_mtime_ns for name in before} == before


def test_the_tries_end_after_some_finished_runs(source, tmp_path, pauses, monkeypatch):
    fail_to_read(source / "3.wav")
    work = epath.Path(tmp_path / "work")
    for left in (2, 1, 0):
        written = records.count_run(work, ingest(source, work))
        assert sum(record.to_try_again for record in written) == bool(left)
    monkeypatch.setattr(retries.time, "sleep", lambda seconds: pytest.fail("a retry"))
    assert ingest(source, work) == written
    assert quarantine(written) == {"3.wav": "unreadable"}


def test_runs_that_end_in_an_error_do_not_count(source, tmp_path, pauses):
    """A bucket that cannot be reached fails every clip, and the stage after that. It may be repaired after days."""
    fail_to_read(source / "3.wav")
    for _ in range(records.MAX_RUNS + 1):
        written = ingest(source, tmp_path / "work")
    assert sum(record.to_try_again for record in written) == 1


def test_a_clip_that_is_readable_again_after_a_pause_is_written(source, tmp_path, monkeypatch):
    clip = source / "3.wav"
    content = clip.read_bytes()
    take_too_long(clip)

    def repair(seconds):
        clip.unlink()
        clip.write_bytes(content)

    monkeypatch.setattr(retries.time, "sleep", repair)
    assert quarantine(ingest(source, tmp_path / "work", rules=RULES)) == {}


def test_damage_of_a_file_is_final(source, tmp_path, monkeypatch):
    monkeypatch.setattr(retries.time, "sleep", lambda seconds: pytest.fail("a retry"))
    (source / "3.wav").write_bytes(b"no audio")
    (source / "4.wav").unlink()
    (source / "4.wav").mkdir()
    corpora.cut_short(source / "5.wav")
    written = ingest(source, tmp_path / "work")
    assert quarantine(written) == {"3.wav": "unreadable", "5.wav": "truncated"}
    assert not any(record.transient for record in written)
    times = {record.file: (tmp_path / "work" / record.file).stat().st_mtime_ns for record in written}
    ingest(source, tmp_path / "work")
    assert {name: (tmp_path / "work" / name).stat().st_mtime_ns for name in times} == times


def test_what_is_no_file_is_final_if_a_list_names_it(source, tmp_path, monkeypatch):
    """Whoever opened it would wait for somebody to write."""
    monkeypatch.setattr(retries.time, "sleep", lambda seconds: pytest.fail("a retry"))
    os.mkfifo(tmp_path / "pipe.wav")
    (source / "link.wav").symlink_to(tmp_path / "pipe.wav")
    names = ["0.wav", "../pipe.wav", "link.wav", "/dev/zero"]
    (source / "manifest.csv").write_text("\n".join(["path", *names]))
    written = ingest(source, tmp_path / "work")
    assert quarantine(written) == dict.fromkeys(names[1:], "unreadable")
    assert {entry["message"] for record in written for entry in record.quarantined} == {storage.NO_FILE}


def test_a_decoder_that_the_kernel_kills_is_a_passing_failure(source, tmp_path, pauses):
    """The clip is long, so that its decoder can be found and killed each time that it reads it."""
    corpora.write_tone(source / "long.flac", sample_rate=44100, seconds=300.0)
    stop = threading.Event()

    def kill():
        while not stop.wait(0.01):
            with contextlib.suppress(OSError):  # Threads and decoders end while they are listed.
                for pid in decoders_of(os.getpid()):
                    opened = {os.readlink(path) for path in pathlib.Path(f"/proc/{pid}/fd").iterdir()}
                    if str(source / "long.flac") in opened:
                        os.kill(pid, signal.SIGKILL)

    killer = threading.Thread(target=kill)
    killer.start()
    try:
        written = ingest(source, tmp_path / "work")
    finally:
        stop.set()
        killer.join()
    assert quarantine(written) == {"long.flac": "crashed"}
    assert sum(record.transient for record in written) == 1
    assert quarantine(ingest(source, tmp_path / "work")) == {}


def test_waiting_ends_if_a_whole_file_system_is_down(monkeypatch):
    slept = []
    monkeypatch.setattr(retries.time, "sleep", slept.append)
    patience = retries.Retries()
    tries = [sum(1 for _ in itertools.takewhile(patience.wait, itertools.count(1))) for _ in range(1000)]
    assert tries[:2] == [2, 2]
    assert sum(slept) < 120


class TestBucket:
    """A folder stands in for a bucket."""

    @pytest.mark.parametrize(
        ("error", "cause", "transient"),
        [
            (tf.errors.UnavailableError(None, None, "503"), "unreadable", True),
            (tf.errors.PermissionDeniedError(None, None, "403"), "unreadable", True),
            (ConnectionResetError(104, "Connection reset by peer"), "unreadable", True),
            (OSError("Could not resolve host"), "unreadable", True),
            (tf.errors.NotFoundError(None, None, "404"), "missing", False),
            (FileNotFoundError(2, "no"), "missing", False),
        ],
    )
    def test_errors(self, monkeypatch, error, cause, transient):
        class Broken:
            def __init__(self, url):
                del url

            def read_bytes(self):
                raise error

        monkeypatch.setattr(epath, "Path", Broken)
        with pytest.raises(audio.DecodeError) as caught:
            readers.fetch("gs://a.wav", timeout_s=5.0)
        assert (caught.value.cause, caught.value.transient) == (cause, transient)


def test_a_record_of_a_tfds_dataset_that_fails_to_read_is_tried_again(tmp_path, monkeypatch):
    folder = tfds_datasets.speech_commands(tmp_path / "ds", counts={"train": 20})
    file = max(folder.glob("*train*tfrecord*"), key=lambda path: path.stat().st_size)
    content = file.read_bytes()
    file.unlink()
    file.symlink_to(EIO)
    clips = sorted(tfds_source.list_clips(folder).clips, key=lambda clip: clip.record)

    failed = [sound for _, sound in tfds_reader.read(folder, clips) if isinstance(sound, audio.DecodeError)]
    assert failed
    assert {(error.cause, error.transient) for error in failed} == {("unreadable", True)}

    def repair(tries):
        assert tries == 1
        file.unlink()
        file.write_bytes(content)
        return True

    sounds = [sound for _, sound in tfds_reader.read(folder, clips, wait=repair)]
    assert not [sound for sound in sounds if isinstance(sound, audio.DecodeError)]
    assert len(sounds) == 20
