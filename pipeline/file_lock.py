"""A lock on a local file that keeps a second process out of a folder."""

import contextlib
import errno
import fcntl
import os
import pathlib
import socket
from collections.abc import Iterator
from typing import TextIO

_HELD_BY_ANOTHER = (errno.EACCES, errno.EAGAIN)
"""What `fcntl.lockf` reports of a lock that another process holds. Anything else means that there are no locks."""


class HeldError(Exception):
    """Another process holds the lock. The message names it, e.g. "process 4711 on host"."""


class NoLocksError(Exception):
    """The file system has no record locks. The message is what it reported."""


@contextlib.contextmanager
def held(file: pathlib.Path) -> Iterator[None]:
    """Holds a lock until the block or the process ends, however it ends. Creates the file and its folder.

    Raises:
        HeldError: Another process holds the lock.
        NoLocksError: The file system has no record locks.
        OSError: The file cannot be written.
    """
    while True:
        file.parent.mkdir(parents=True, exist_ok=True)
        with file.open("a+") as stream:
            try:
                # A record lock, because children that outlive a killed process would inherit a lock of flock().
                fcntl.lockf(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError as error:
                if error.errno not in _HELD_BY_ANOTHER:
                    raise NoLocksError(error.strerror) from error
                stream.seek(0)
                raise HeldError(stream.read().strip() or "process unknown") from error
            if not _is_at(stream, file):
                continue  # Who held the lock has removed the file meanwhile, as one may do before letting go.
            stream.truncate(0)
            stream.write(f"process {os.getpid()} on {socket.gethostname()}")
            stream.flush()
            yield
            return


def _is_at(stream: TextIO, file: pathlib.Path) -> bool:
    """Returns whether an open file is the one that a path names."""
    try:
        return os.path.samestat(os.fstat(stream.fileno()), os.stat(file))
    except FileNotFoundError:
        return False


def is_held_by_another(file: pathlib.Path) -> bool:
    """Returns whether another process holds the lock. Writes nothing.

    Do not call it while this process holds the lock: a process loses all its record locks on a file when it closes the
    file.
    """
    try:
        stream = file.open("r")
    except OSError:  # There is no such file, or who asks may not read it. EACCES would look like a lock that is held.
        return False
    with stream:
        try:
            # A shared lock can be had on a file that cannot be written, and not while another process is running.
            fcntl.lockf(stream, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except OSError as error:
            return error.errno in _HELD_BY_ANOTHER
    return False
