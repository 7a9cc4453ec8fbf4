"""Several decoders at work, when whoever needs the sounds gives up."""

import os
import signal
import threading

import pytest

from beam_jobs import audio
from beam_jobs.audio import parallel
from beam_jobs.sources import Clip
from tests import corpora
from tests.processes import is_stopped, readers_of, signal_readers, wait_until


@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt])
def test_after_an_error_no_file_is_decoded_to_its_end(tmp_path, tone, ours, monkeypatch, error):
    monkeypatch.setattr(parallel, "RULES", audio.Rules(timeout_s=3600.0))
    long = corpora.write_silence(tmp_path / "long.wav", hours=6)
    hanging = signal_readers(long, signal.SIGSTOP)

    def decode():
        clips = [Clip(clip_id=path, path=path) for path in (tone, long)]
        with parallel.Decoders(sample_rate=16000, processes=2) as decoders:
            for _ in decoders.decode(clips):
                wait_until(lambda: any(map(is_stopped, ours())))
                raise error

    def decode_until_the_error():
        with pytest.raises(error):
            decode()

    thread = threading.Thread(target=decode_until_the_error)
    thread.start()
    try:
        wait_until(lambda: not thread.is_alive() and not ours())
    finally:
        for pid in readers_of(long):
            os.kill(pid, signal.SIGKILL)
        thread.join()
        hanging.join()
