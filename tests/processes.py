"""What the tests of jobs that hang, die or are killed share."""

import pathlib
import time


def decoders_of(pid):
    """The decoders that a process has started, as their pids."""
    tasks = pathlib.Path(f"/proc/{pid}/task").iterdir()
    pids = [int(pid) for task in tasks for pid in (task / "children").read_text().split()]
    return [pid for pid in pids if is_decoder(pid)]


def is_decoder(pid):
    """Whether a process is a decoder that runs; a zombie has no command line."""
    try:
        return b"decoder_process" in pathlib.Path(f"/proc/{pid}/cmdline").read_bytes()
    except FileNotFoundError:
        return False


def wait_until(condition, *, seconds=60):
    """What the condition gives as soon as it gives something."""
    deadline = time.monotonic() + seconds
    while not (met := condition()):
        assert time.monotonic() < deadline
        time.sleep(0.02)
    return met
