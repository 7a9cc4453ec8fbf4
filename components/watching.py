"""Reports the progress of a Beam job from the files that it writes, because it may run on other machines."""

import contextlib
import threading
from collections.abc import Callable, Iterator

from etils import epath

from beam_jobs import storage

_LOCAL_INTERVAL_S = 0.5
_REMOTE_INTERVAL_S = 10.0  # Listing a bucket is slow and costs money.


@contextlib.contextmanager
def watching(folder: epath.Path, report: Callable[[], None]) -> Iterator[None]:
    """Calls `report` at intervals while the block runs, and once more when the block has ended without an error.

    Args:
        folder: The folder that `report` lists. The interval is longer if the folder is remote.
        report: Reports the progress. It is called in a thread while the block runs.
    """
    interval_s = _REMOTE_INTERVAL_S if storage.is_remote(folder) else _LOCAL_INTERVAL_S
    stop = threading.Event()

    def report_until_stopped() -> None:
        while not stop.wait(interval_s):
            report()

    thread = threading.Thread(target=report_until_stopped, name="watching", daemon=True)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join()
    report()
