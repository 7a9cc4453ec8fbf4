"""Google's client for Cloud Storage (extra `gcp`), and how requests are sent with it."""

from __future__ import annotations

import concurrent.futures
import functools
import importlib.util
import logging
import os
import sys
import time
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from google.api_core import retry
    from google.cloud import storage as gcs

SCHEME = "gs://"

THREADS = 32
"""Number of requests that are sent at the same time, where each file takes one."""

_NOTICE_S, _REASON_LENGTH = 30, 120
_RETRIES = logging.getLogger("google.api_core.retry")  # There, at level DEBUG, Google says what is tried again.

T = TypeVar("T")
R = TypeVar("R")


def is_used_for(path: str | os.PathLike[str]) -> bool:
    """Returns whether a path lies on Cloud Storage and Google's client is installed."""
    return str(path).startswith(SCHEME) and _is_installed()


def client() -> gcs.Client:
    """Returns the client of this process. It asks for credentials only when it is first used."""
    return _client(os.getpid(), os.environ.get("STORAGE_EMULATOR_HOST", ""))


def retrying() -> retry.Retry:
    """Returns how a request is tried again: after 429, 5xx and connections that break or do not answer."""
    # Imported here because it comes with an extra, and takes half a second.
    from google.cloud.storage import retry

    return retry.DEFAULT_RETRY


def in_parallel(function: Callable[[T], R], items: Iterable[T]) -> list[R]:
    """Calls a function for each item, in `THREADS` threads, and returns what it returns, in the order of the items."""
    with concurrent.futures.ThreadPoolExecutor(THREADS, thread_name_prefix="bucket") as pool:
        return list(pool.map(function, items))


class _Notices(logging.Filter):
    """Says that requests are tried again, at most every half minute: nobody would know why nothing goes on."""

    def __init__(self) -> None:
        super().__init__()
        self.next_s = 0.0

    def filter(self, record: logging.LogRecord) -> bool:
        """Returns whether the record is logged as well, which it is only where everything is."""
        if time.monotonic() >= self.next_s:
            self.next_s = time.monotonic() + _NOTICE_S
            reason = record.getMessage().removeprefix("Retrying due to ")[:_REASON_LENGTH]
            logging.warning("Cloud Storage fails, and is asked again for up to two minutes: %s", reason)
        return record.levelno >= logging.getLogger().getEffectiveLevel()


_NOTICES = _Notices()
_RETRIES.addFilter(_NOTICES)
_RETRIES.setLevel(logging.DEBUG)


def _is_installed() -> bool:
    if "google.cloud.storage" in sys.modules:
        return sys.modules["google.cloud.storage"] is not None
    return _has_package()


@functools.cache
def _has_package() -> bool:
    try:
        return importlib.util.find_spec("google.cloud.storage") is not None
    except ModuleNotFoundError:  # There is no package `google.cloud`.
        return False


@functools.lru_cache(maxsize=4)
def _client(process: int, emulator: str) -> gcs.Client:
    """Returns a new client. A forked process must not share the connections of its parent."""
    del process, emulator  # Only parts of the key.
    # Imported here because it comes with an extra, and takes half a second.
    import google.cloud.storage as gcs
    from google.auth import exceptions

    try:
        created = gcs.Client(project=None)  # Files need none, and none need be configured.
    except exceptions.DefaultCredentialsError:
        created = gcs.Client.create_anonymous_client()  # Public buckets need no credentials.
    for scheme in ("https://", "http://"):
        # With fewer connections than threads, many requests would open one of their own.
        created._http.mount(scheme, type(created._http.get_adapter(scheme))(pool_maxsize=THREADS))
    return created
