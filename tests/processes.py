"""Helpers for tests of processes that hang, crash or are killed."""

import contextlib
import os
import pathlib
import re
import signal
import threading
import time


@contextlib.contextmanager
def ctrl_c():
    """Makes SIGINT raise KeyboardInterrupt in a block. In background jobs of a shell script it is ignored otherwise."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)


def decoders_of(pid):
    """Returns the process ids of the decoders that a process has started."""
    children = []
    for task in pathlib.Path(f"/proc/{pid}/task").iterdir():
        with contextlib.suppress(FileNotFoundError, ProcessLookupError):  # The thread has ended meanwhile.
            children += [int(child) for child in (task / "children").read_text().split()]
    return [child for child in children if is_decoder(child)]


def is_decoder(pid):
    """Returns whether a process is a running decoder. A zombie is not, because it has no command line."""
    try:
        return b"decoder_process" in pathlib.Path(f"/proc/{pid}/cmdline").read_bytes()
    except (FileNotFoundError, ProcessLookupError):
        return False


def is_stopped(pid):
    """Returns whether a process has got SIGSTOP."""
    try:
        return pathlib.Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "T"
    except (FileNotFoundError, ProcessLookupError):
        return False


def descendants(pid):
    """Returns the command lines of the running processes below a process, by process id."""
    parents, commands = {}, {}
    for folder in pathlib.Path("/proc").iterdir():
        if not folder.name.isdigit():
            continue
        try:
            parents[int(folder.name)] = int((folder / "stat").read_text().rpartition(")")[2].split()[1])
            commands[int(folder.name)] = (folder / "cmdline").read_text().replace("\0", " ")
        except (FileNotFoundError, ProcessLookupError):  # It has ended meanwhile.
            continue
    found, level = set(), {pid}
    while level := {child for child, parent in parents.items() if parent in level} - found:
        found |= level
    return {child: commands[child] for child in found if commands.get(child)}


def in_session(session):
    """Returns the command lines of the running processes of a session; see `start_new_session` of `subprocess`."""
    commands = []
    for folder in pathlib.Path("/proc").iterdir():
        if not folder.name.isdigit():
            continue
        try:
            state, _, _, its_session = (folder / "stat").read_text().rpartition(")")[2].split()[:4]
            if int(its_session) == session and state != "Z":
                commands.append((folder / "cmdline").read_text().replace("\0", " "))
        except (FileNotFoundError, ProcessLookupError):  # It has ended meanwhile.
            continue
    return commands


def wait_until(condition, *, seconds=60):
    """Calls `condition` until it returns something true, and returns that."""
    deadline = time.monotonic() + seconds
    while not (result := condition()):
        assert time.monotonic() < deadline
        time.sleep(0.02)
    return result


def readers_of(path):
    """Returns the process ids of this process' decoders that have a file open."""
    return [pid for pid in decoders_of(os.getpid()) if str(path) in _open_files(pid)]


def signal_readers(path, number, *, times=1):
    """Starts a thread that sends a signal to the decoders that open a file, one after the other, and returns it."""

    def send():
        for _ in range(times):
            (pid,) = wait_until(lambda: readers_of(path), seconds=600)
            os.kill(pid, number)
            wait_until(lambda pid=pid: not is_decoder(pid))

    thread = threading.Thread(target=send)
    thread.start()
    return thread


def peak_kib(pid):
    """Returns the peak resident memory of a process so far, in KiB."""
    return int(re.search(r"VmHWM:\s+(\d+)", pathlib.Path(f"/proc/{pid}/status").read_text())[1])


def _open_files(pid):
    try:
        return {os.readlink(file) for file in pathlib.Path(f"/proc/{pid}/fd").iterdir()}
    except (FileNotFoundError, ProcessLookupError):  # It has ended, or has just closed a file.
        return set()
