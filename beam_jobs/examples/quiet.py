"""Silences TFDS."""

import contextlib
import logging
import threading
from collections.abc import Iterator

from absl import logging as absl_logging

_thread = threading.local()


@contextlib.contextmanager
def quiet_tfds() -> Iterator[None]:
    """Hides the warnings that TFDS logs in this thread; errors still appear.

    TFDS warns about its own deprecated attributes for every Audio feature, which users cannot change. absl's verbosity
    is not used for this, because it belongs to the whole process and threads would restore each other's.
    """
    absl_logging.get_absl_logger().addFilter(_passes)  # Adding the same filter again has no effect.
    was_quiet = getattr(_thread, "is_quiet", False)
    _thread.is_quiet = True
    try:
        yield
    finally:
        _thread.is_quiet = was_quiet


def _passes(record: logging.LogRecord) -> bool:
    return record.levelno >= logging.ERROR or not getattr(_thread, "is_quiet", False)
