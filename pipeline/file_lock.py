"""A lock on a file that keeps a second process out of a folder."""

import contextlib
import errno
import fcntl
import os
import pathlib
import socket
from collections.abc import Iterator

from absl import logging


class HeldError(Exception):
    """Another process holds the lock. The message names it."""


@contextlib.contextmanager
def held(file: pathlib.Path) -> Iterator[None]:
    """Holds a lock until the block or the process ends, however it ends.

    A file system without locks is warned of, and nothing is kept out.

    Raises:
        HeldError: Another process holds the lock.
        OSError: The file cannot be written.
    """
    with file.open("a+") as stream:
        try:
            # A record lock, because children that outlive a killed process would inherit a lock of flock().
            fcntl.lockf(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            if error.errno in (errno.EAGAIN, errno.EACCES):
                stream.seek(0)
                raise HeldError(stream.read().strip() or "unknown") from error
            logging.warning(
                "%s cannot be locked (%s): nothing keeps a second process out of its folder", file, error.strerror
            )
        stream.truncate(0)
        stream.write(f"process {os.getpid()} on {socket.gethostname()}")
        stream.flush()
        yield
