"""What follows an interrupted file: the next one gets its own samples, not what is left of the reply."""

import os
import signal
import threading

import numpy as np
import pytest

from beam_jobs import audio
from beam_jobs.audio import spool
from tests import corpora
from tests.processes import ctrl_c, decoders_of, wait_until


class InterruptedSpool(spool.Spool):
    """Gets the given error between the first portion and the second."""

    def __init__(self, error):
        super().__init__()
        self._error = error

    def append(self, samples):
        super().append(samples)
        if samples.size:
            raise self._error


def whole(decoder, path):
    with spool.Spool() as held:
        decoder.decode_file(path, held)
        return held.read(0, len(held))


@pytest.mark.parametrize("error", [KeyboardInterrupt, MemoryError, ValueError])
def test_after_an_interrupted_file_the_next_one_has_its_own_samples(tmp_path, decoder, tone, error):
    long = corpora.write_silence(tmp_path / "long.wav", hours=0.1)
    for _ in range(2):
        with InterruptedSpool(error()) as sound, pytest.raises(error):
            decoder.decode_file(long, sound)
        assert 0 < len(sound) < 0.1 * 3600 * 16000
        np.testing.assert_array_equal(whole(decoder, tone), audio.decode_file(tone))


def test_after_ctrl_c_while_the_child_starts_the_next_file_has_its_own_samples(decoder, tone):
    earlier = set(decoders_of(os.getpid()))
    main = threading.main_thread().ident

    def interrupt_the_start():
        wait_until(lambda: decoder._finalizer is not None)
        (pid,) = wait_until(lambda: set(decoders_of(os.getpid())) - earlier)
        os.kill(pid, signal.SIGSTOP)  # Before it says that it is ready.
        signal.pthread_kill(main, signal.SIGINT)

    thread = threading.Thread(target=interrupt_the_start)
    thread.start()
    with ctrl_c(), pytest.raises(KeyboardInterrupt):
        decoder.decode(tone)
    thread.join()
    assert set(decoders_of(os.getpid())) == earlier
    np.testing.assert_array_equal(whole(decoder, tone), audio.decode_file(tone))
