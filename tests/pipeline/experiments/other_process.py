"""Functions that the tests call in a fresh process."""

import os
import pathlib
import signal
import time

from components.errors import UserError
from pipeline.experiments import processes
from pipeline.runner import interrupts


def add(a, b):
    return a + b, os.getpid()


def refuse():
    raise UserError("There is nothing to add: give two numbers.")


def crash():
    raise ValueError("this is a bug")


def kill():
    os.kill(os.getpid(), signal.SIGKILL)


def wait(folder):
    """Says that it runs, and how it ended."""
    try:
        with interrupts.as_exceptions():
            (pathlib.Path(folder) / "runs").write_text(str(os.getpid()))
            time.sleep(60)
    except interrupts.Interrupted as interrupt:
        (pathlib.Path(folder) / "ended").write_text(interrupt.message)


def main(folder):
    with interrupts.as_exceptions():
        processes.call(wait, folder)
