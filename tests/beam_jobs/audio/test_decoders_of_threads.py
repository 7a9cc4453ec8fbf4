import os
import signal
import subprocess
import sys
import threading

import pytest

from beam_jobs import audio
from beam_jobs.audio.decoders_of_threads import DecodersOfThreads
from tests import corpora
from tests.processes import is_decoder, is_stopped, signal_readers, wait_until


def _in_a_thread(function):
    """Calls a function in a thread of its own, which ends."""
    thread = threading.Thread(target=function)
    thread.start()
    thread.join()


def test_a_thread_has_a_decoder_for_each_rate():
    decoders = DecodersOfThreads(rules=audio.Rules())
    found = [decoders.get(16000), decoders.get(8000)]
    _in_a_thread(lambda: found.append(decoders.get(16000)))
    assert len(set(map(id, found))) == 3
    assert decoders.get(16000) is found[0]
    assert decoders.get(8000) is found[1]


def test_the_child_ends_with_its_thread(tone, ours):
    decoders = DecodersOfThreads(rules=audio.Rules())
    running = []

    def decode():
        decoders.get(16000).decode(tone)
        running.extend(ours())

    _in_a_thread(decode)
    assert len(running) == 1
    wait_until(lambda: not ours())


@pytest.mark.parametrize("by", ["closing", "deleting"])
def test_the_children_of_waiting_threads_end(tone, ours, by):
    held = [DecodersOfThreads(rules=audio.Rules())]
    are_decoded, may_end = threading.Barrier(3, timeout=60), threading.Event()

    def decode():
        held[0].get(16000).decode(tone)
        are_decoded.wait()
        may_end.wait()

    threads = [threading.Thread(target=decode, daemon=True) for _ in range(2)]
    for thread in threads:
        thread.start()
    try:
        are_decoded.wait()
        assert len(ours()) == 2
        if by == "closing":
            held[0].close()
        else:
            held.clear()
        wait_until(lambda: not ours())
    finally:
        may_end.set()
    for thread in threads:
        thread.join()


def test_what_is_being_decoded_when_they_are_stopped_is_an_error_and_so_is_all_that_follows(tmp_path, tone, ours):
    decoders = DecodersOfThreads(rules=audio.Rules(timeout_s=3600.0))
    long = corpora.write_silence(tmp_path / "long.wav", hours=6)
    hanging = signal_readers(long, signal.SIGSTOP)
    messages = []

    def decode():
        for path in (long, tone):
            with pytest.raises(audio.DecodeError) as caught:
                decoders.get(16000).decode(path)
            messages.append(str(caught.value))

    thread = threading.Thread(target=decode)
    thread.start()
    try:
        wait_until(lambda: ours() and all(map(is_stopped, ours())))
        decoders.stop()
        _in_a_thread(decode)
    finally:
        for pid in ours():
            os.kill(pid, signal.SIGKILL)
        for ended in (thread, hanging):
            ended.join()
    assert messages == 4 * ["the decoder was stopped"]
    wait_until(lambda: not ours())


def test_the_children_end_with_the_interpreter(tone):
    program = (
        "import os, sys; from beam_jobs import audio; from tests.processes import decoders_of; "
        "from beam_jobs.audio.decoders_of_threads import DecodersOfThreads; "
        "decoders = DecodersOfThreads(rules=audio.Rules()); decoders.get(16000).decode(sys.argv[1]); "
        "print(*decoders_of(os.getpid()))"
    )
    ended = subprocess.run([sys.executable, "-c", program, tone], stdout=subprocess.PIPE, check=True)
    (pid,) = map(int, ended.stdout.split())
    assert not is_decoder(pid)
