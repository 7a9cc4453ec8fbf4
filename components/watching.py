"""Reports the progress of a Beam job from the files that it writes, because it may run on other machines."""

import contextlib
import threading
from collections.abc import Callable, Iterator

from absl import logging
from etils import epath

from beam_jobs import storage

_LOCAL_INTERVAL_S = 0.5
_REMOTE_INTERVAL_S = 10.0  # Listing a bucket is slow and costs money.


@contextlib.contextmanager
def watching(folder: epath.Path, report: Callable[[], None]) -> Iterator[None]:
    """Calls `report` at intervals while the block runs, and once more when the block has ended without an error.

    An error of `report`, e.g. of a bucket that cannot be listed for a moment, is logged and ends neither the reports
    nor the block.

    Args:
        folder: The folder that `report` lists. The interval is longer if the folder is remote.
        report: Reports the progress. It is called in a thread while the block runs.
    """
    interval_s = _REMOTE_INTERVAL_S if storage.is_remote(folder) else _LOCAL_INTERVAL_S
    stop = threading.Event()
    is_failing = False

    def try_to_report() -> None:
        nonlocal is_failing
        try:
            report()
            is_failing = False
        except Exception as error:
            if not is_failing:  # Errors in a row are logged once.
                logging.warning("the progress in %s cannot be reported: %s: %s", folder, type(error).__name__, error)
            is_failing = True

    def report_until_stopped() -> None:
        while not stop.wait(interval_s):
            try_to_report()

    thread = threading.Thread(target=report_until_stopped, name="watching", daemon=True)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join()
    try_to_report()
