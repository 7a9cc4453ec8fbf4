import signal
import subprocess
import sys

import pytest

from pipeline.runner import interrupts, retries

PROGRAM = """
import os, signal, sys, time
from pipeline.runner import interrupts
# The tests may run under `nohup`, whose setting a process inherits.
signal.signal(signal.SIGHUP, signal.SIG_IGN if "ignored" in sys.argv else signal.SIG_DFL)
with interrupts.as_exceptions():
    try:
        os.kill(os.getpid(), int(sys.argv[1]))
        time.sleep(0.1)
        print("went on")
    except interrupts.Interrupted as interrupt:
        print(interrupt.message)
        sys.exit(interrupt.exit_status)
"""


@pytest.mark.parametrize(
    ("number", "status", "name"),
    [(signal.SIGINT, 130, "Ctrl-C"), (signal.SIGTERM, 143, "SIGTERM"), (signal.SIGHUP, 129, "SIGHUP")],
)
def test_a_signal_stops_a_run(number, status, name):
    done = subprocess.run([sys.executable, "-c", PROGRAM, str(int(number))], capture_output=True, text=True)
    assert done.returncode == status
    assert done.stdout.startswith(f"Stopped by {name}: nothing incomplete was published")


def test_an_ignored_sighup_stays_ignored():
    """`nohup` starts a command this way."""
    command = [sys.executable, "-c", PROGRAM, str(int(signal.SIGHUP)), "ignored"]
    assert subprocess.run(command, capture_output=True, text=True).stdout == "went on\n"


def test_no_retry_follows_a_signal_that_came_before_a_passing_error():
    attempts, said = [], []

    def attempt(why):
        attempts.append(why)
        with interrupts.deferred():
            signal.raise_signal(signal.SIGTERM)
            raise ConnectionResetError("the connection is lost")

    with interrupts.as_exceptions(), pytest.raises(interrupts.Interrupted) as caught:
        retries.run(attempt, stage="Flaky", retries=2, say=said.append)
    assert (attempts, said) == ([""], [])
    assert caught.value.exit_status == 143
    assert isinstance(caught.value.__context__, ConnectionResetError)


def test_an_error_without_a_signal_stays_the_error():
    with interrupts.as_exceptions(), pytest.raises(ConnectionResetError), interrupts.deferred():
        raise ConnectionResetError


def test_a_block_within_a_block_is_a_part_of_it():
    done = []

    def signaled_twice():
        with interrupts.deferred():
            with interrupts.deferred():
                signal.raise_signal(signal.SIGTERM)
            done.append("inner")
            signal.raise_signal(signal.SIGINT)
            done.append("outer")

    with interrupts.as_exceptions(), pytest.raises(interrupts.Interrupted, match="SIGTERM"):
        signaled_twice()
    assert done == ["inner", "outer"]
