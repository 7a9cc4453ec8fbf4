import os
import resource
import signal
import subprocess
import sys
import threading
import time

import numpy as np
import pytest
import soundfile

from beam_jobs import audio
from beam_jobs.audio import decoder, portions, spool
from tests import corpora
from tests.processes import decoders_of, is_decoder, peak_kib, signal_readers, wait_until


@pytest.fixture
def make():
    """Makes decoders with the given rules, and closes them after the test."""
    decoders = []

    def make_decoder(**rules):
        decoders.append(decoder.Decoder(sample_rate=16000, rules=audio.Rules(**rules)))
        return decoders[-1]

    yield make_decoder
    for each in decoders:
        each.close()


@pytest.fixture
def ours():
    """Returns the decoders of this process, without those that tests of other folders have left waiting."""
    earlier = set(decoders_of(os.getpid()))
    return lambda: [pid for pid in decoders_of(os.getpid()) if pid not in earlier]


@pytest.fixture
def endless(tmp_path):
    """A named pipe without a writer, so that whoever opens it waits."""
    os.mkfifo(tmp_path / "endless.wav")
    return str(tmp_path / "endless.wav")


@pytest.fixture
def hours(tmp_path):
    """A file that takes a while to decode."""
    return corpora.write_silence(tmp_path / "hours.wav", hours=6)


@pytest.fixture
def tone(tmp_path):
    corpora.write_tone(tmp_path / "tone.wav")
    return str(tmp_path / "tone.wav")


def failure(child, path):
    """Returns cause and message of a clip that does not decode."""
    with pytest.raises(audio.DecodeError) as caught:
        child.decode(path)
    return caught.value.cause, str(caught.value)


@pytest.mark.parametrize("suffix", corpora.FORMATS)
def test_the_result_is_the_same_as_in_this_process(tmp_path, make, suffix):
    path = tmp_path / f"a.{suffix}"
    corpora.write_format(path, seconds=2.0)
    expected = audio.decode_clip(str(path), sample_rate=16000, rules=audio.Rules(), start_s=0.5, end_s=0.75)
    for source in (str(path), path.read_bytes()):
        decoded = make().decode(source, start_s=0.5, end_s=0.75)
        np.testing.assert_array_equal(decoded.samples, expected.samples)
        assert (decoded.rate, decoded.codec) == (expected.rate, expected.codec)


def test_a_file_on_standard_input_is_not_called_a_pipe(make):
    message = r"it names what the process .* has opened, not a file; give the path of the file"
    with spool.Spool() as sound, pytest.raises(audio.DecodeError, match=message):
        make().decode_file("/dev/stdin", sound)


def test_clips_larger_than_the_buffer_of_a_pipe_decode(tmp_path, make):
    corpora.write_tone(tmp_path / "long.wav", seconds=120.0)
    assert make().decode((tmp_path / "long.wav").read_bytes()).samples.size == 120 * 16000


def test_after_a_bad_file_the_next_one_decodes(tmp_path, make, tone):
    (tmp_path / "bad.wav").write_bytes(b"no audio")
    child = make()
    assert failure(child, str(tmp_path / "bad.wav"))[0] == "unreadable"
    assert failure(child, str(tmp_path / "none.wav"))[0] == "missing"
    assert child.decode(tone).samples.size == 8000


def test_a_decoder_that_hangs_is_replaced(make, endless, tone):
    child = make(timeout_s=0.5)
    child.decode(tone)
    started = time.monotonic()
    assert failure(child, endless) == ("timed out", "no result after 0.5 s")
    assert 0.4 < time.monotonic() - started < 60
    assert child.decode(tone).samples.size == 8000


def test_a_file_that_kills_two_decoders_is_given_up(make, endless, tone, ours):
    child = make(timeout_s=100.0)
    child.decode(tone)

    def kill_two_decoders():
        killed = set()
        while len(killed) < 2:
            wait_until(lambda: set(ours()) - killed)
            writer = wait_until(lambda: _open_if_a_reader_waits(endless))
            (pid,) = set(ours()) - killed
            os.kill(pid, signal.SIGSEGV)
            killed.add(pid)
            wait_until(lambda: not killed & set(ours()))
            os.close(writer)

    killer = threading.Thread(target=kill_two_decoders)
    killer.start()
    assert failure(child, endless) == ("crashed", "the decoder crashed twice on it: Segmentation fault")
    killer.join()
    assert child.decode(tone).samples.size == 8000


def test_a_decoder_that_is_killed_once_loses_no_clip(make, tone, ours):
    child = make()
    child.decode(tone)
    (pid,) = ours()
    os.kill(pid, signal.SIGKILL)
    assert child.decode(tone).samples.size == 8000
    assert ours() != [pid]


def test_the_child_ends_when_the_decoder_is_deleted(tone, ours):
    child = decoder.Decoder(sample_rate=16000, rules=audio.Rules())
    child.decode(tone)
    assert ours()
    del child
    assert not ours()


@pytest.mark.parametrize("is_decoding", [True, False])
def test_the_child_does_not_outlive_a_killed_parent(endless, tone, is_decoding):
    second = endless if is_decoding else tone
    command = [sys.executable, "-m", "tests.beam_jobs.audio.decoding_program", tone, second]
    parent = subprocess.Popen(command, stdout=subprocess.PIPE)
    try:
        assert parent.stdout.readline() == b"decoded\n"
        time.sleep(0.5)
        (pid,) = decoders_of(parent.pid)
    finally:
        parent.kill()
        parent.wait()
    wait_until(lambda: not is_decoder(pid), seconds=10)


def test_a_clip_that_needs_too_much_memory_fails_alone(tmp_path, make, tone, monkeypatch, ours):
    monkeypatch.setattr(decoder, "_MEMORY_BYTES", 150 * 2**20)
    corpora.write_tone(tmp_path / "long.flac", sample_rate=8000, seconds=3600.0)
    child = make()
    child.decode(tone)
    pids = ours()
    for source in (str(tmp_path / "long.flac"), (tmp_path / "long.flac").read_bytes()):
        with pytest.raises(audio.DecodeError, match="too long to decode at once; cut it into pieces") as caught:
            child.decode(source)
        assert caught.value.cause == "crashed"
    assert child.decode(str(tmp_path / "long.flac"), start_s=1800.0, end_s=1810.0).samples.size == 160000
    assert child.decode(tone).samples.size == 8000
    assert ours() == pids


def test_a_file_larger_than_the_memory_is_given_up(make, tone, monkeypatch):
    monkeypatch.setattr(decoder, "_MEMORY_BYTES", 150 * 2**20)
    child = make()
    with pytest.raises(audio.DecodeError) as caught:
        child.decode(bytes(300 * 2**20))
    assert caught.value.cause == "crashed"
    assert child.decode(tone).samples.size == 8000


def whole(child, path):
    """Returns the samples of a whole file."""
    with spool.Spool() as held:
        child.decode_file(path, held)
        return held.read(0, len(held))


@pytest.mark.parametrize("suffix", corpora.FORMATS)
def test_a_whole_file_is_the_same_as_in_this_process(tmp_path, make, suffix):
    corpora.write_format(tmp_path / f"a.{suffix}", seconds=2.0)
    expected = audio.decode_file(tmp_path / f"a.{suffix}")
    np.testing.assert_array_equal(whole(make(), str(tmp_path / f"a.{suffix}")), expected)


def test_a_long_file_is_the_same_as_in_this_process(tmp_path, make, monkeypatch):
    monkeypatch.setattr(spool, "_BYTES_IN_MEMORY", 2**16)
    noise = np.random.default_rng(0).uniform(-1, 1, (90 * 44100, 2))
    soundfile.write(tmp_path / "a.flac", noise, 44100)
    expected = audio.decode_file(tmp_path / "a.flac")
    child = make(min_seconds=1000.0)  # This rule is for clips.
    np.testing.assert_array_equal(whole(child, str(tmp_path / "a.flac")), expected)
    assert noise.shape[0] > 10 * portions._PORTION_SAMPLES


def test_a_bad_whole_file_does_not_cost_the_next(tmp_path, make, tone):
    (tmp_path / "bad.wav").write_bytes(b"no audio")
    child = make()
    for name, cause in (("bad.wav", "unreadable"), ("none.wav", "missing")):
        with pytest.raises(audio.DecodeError) as caught:
            whole(child, str(tmp_path / name))
        assert caught.value.cause == cause
    assert whole(child, tone).size == child.decode(tone).samples.size == 8000


def test_a_whole_file_that_kills_two_decoders_is_given_up(make, hours, tone):
    child = make()
    thread = signal_readers(hours, signal.SIGSEGV, times=2)
    with pytest.raises(audio.DecodeError, match="the decoder crashed twice on it: Segmentation fault") as caught:
        whole(child, hours)
    thread.join()
    assert caught.value.cause == "crashed"
    assert whole(child, tone).size == 8000


def test_a_decoder_that_is_killed_once_in_the_middle_of_a_file_loses_nothing(tmp_path, make):
    path = corpora.write_silence(tmp_path / "half.wav", hours=0.5)
    thread = signal_readers(path, signal.SIGKILL)
    assert whole(make(), path).size == 1800 * 16000
    thread.join()


def test_a_decoder_that_hangs_in_the_middle_of_a_file_is_replaced(make, hours, tone):
    child = make(timeout_s=1.0)
    thread = signal_readers(hours, signal.SIGSTOP)
    with pytest.raises(audio.DecodeError, match="no result after 1 s") as caught:
        whole(child, hours)
    thread.join()
    assert caught.value.cause == "timed out"
    assert whole(child, tone).size == 8000


def test_what_the_temporary_folder_does_not_hold_costs_only_its_file(make, hours, tone, monkeypatch):
    monkeypatch.setattr(spool, "_BYTES_IN_MEMORY", 1000)
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    child = make()
    resource.setrlimit(resource.RLIMIT_FSIZE, (2**22, before[1]))  # A write beyond it fails as one to a full disk.
    try:
        with pytest.raises(audio.DecodeError, match="its sound does not fit into") as caught:
            whole(child, hours)
        assert whole(child, tone).size == 8000
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert caught.value.cause == "too long"


@pytest.mark.parametrize("suffix", ["flac", pytest.param("m4a", marks=pytest.mark.slow)])
def test_the_memory_of_the_child_does_not_grow_with_the_length_of_a_file(tmp_path, make, suffix, ours):
    peaks = []
    for minutes in (1, 10):
        corpora.write_format(tmp_path / f"{minutes}.{suffix}", seconds=60.0 * minutes)
        child = make()
        assert whole(child, str(tmp_path / f"{minutes}.{suffix}")).size > 0.99 * minutes * 60 * 16000
        peaks += [peak_kib(pid) for pid in ours()]
        child.close()
    assert peaks[1] - peaks[0] < 10_000


@pytest.mark.slow
def test_an_hour_of_stereo_decodes(tmp_path, make):
    wave = np.zeros((3600 * 44100, 2), np.int16)
    wave[::1000] = 1000
    soundfile.write(tmp_path / "hour.flac", wave, 44100)
    assert make(timeout_s=200.0).decode(str(tmp_path / "hour.flac")).samples.size == 3600 * 16000


def _open_if_a_reader_waits(pipe):
    """Opens a pipe for writing if a process has opened it for reading; that process then waits for a byte."""
    try:
        return os.open(pipe, os.O_WRONLY | os.O_NONBLOCK)
    except OSError:
        return None
