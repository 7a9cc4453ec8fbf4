"""Tells how far a Beam job is by what it leaves in a folder: it may run on other machines."""

import contextlib
import threading
from collections.abc import Callable, Iterator

from etils import epath

from beam_jobs import storage

_EVERY_S = 0.5
_EVERY_REMOTE_S = 10.0  # listing a bucket is slow and has its price


@contextlib.contextmanager
def watching(folder: epath.Path, look: Callable[[], None]) -> Iterator[None]:
    """Calls `look` every so often while the block runs, in a thread, and once when it has ended well.

    Args:
        folder: What `look` looks at; decides how often.
        look: Reports progress.
    """
    stop = threading.Event()

    def watch() -> None:
        while not stop.wait(_EVERY_REMOTE_S if storage.is_remote(folder) else _EVERY_S):
            look()

    thread = threading.Thread(target=watch, name="watching", daemon=True)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join()
    look()
