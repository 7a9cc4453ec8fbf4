"""What `tests.bucket_proxy` answers in place of the service."""

import itertools
import threading

SILENCE = "silence"
KEPT = 2**18
"""Of an upload that breaks off, Cloud Storage keeps a multiple of so many bytes."""


def is_status(fault):
    """Returns whether a fault is a status that is answered."""
    return isinstance(fault, int) and fault < 600


def is_cut(fault):
    """Returns whether a fault is a number of bytes, after which the connection is closed."""
    return isinstance(fault, int) and fault >= KEPT


class Faults:
    """See `tests.emulated_bucket.Service.disturb`."""

    def __init__(
        self, *, always=None, first_tries=None, every=0, answers=(), lost="", in_batches=(), refused="", parts=()
    ):
        self._always, self._first_tries, self._every = always, first_tries, every
        self._answers, self._lost, self._in_batches = itertools.cycle(answers or (None,)), lost, list(in_batches)
        self._refused, self._parts = refused, list(parts)
        self._seen, self._count, self._lock = set(), 0, threading.Lock()

    def answer(self, method, path, kind):
        """Returns the fault of a request, or None."""
        with self._lock:
            self._count += 1
            if self._refused and kind == self._refused:
                return 403
            if self._always is not None:
                return self._always
            if self._first_tries is not None and (method, path) not in self._seen:
                self._seen.add((method, path))
                return self._first_tries
            return next(self._answers) if self._every and self._count % self._every == 0 else None

    def is_lost(self, kind):
        """Returns whether a request is carried out, and then answered as if it were not."""
        with self._lock:
            is_lost, self._lost = kind == self._lost, "" if kind == self._lost else self._lost
            return is_lost

    def of_part(self):
        """Returns the fault of a request with content of a large file, or None."""
        with self._lock:
            return self._parts.pop(0) if self._parts else None

    def in_batch(self):
        with self._lock:
            status = 403 if self._refused == "delete" else None
            return self._in_batches.pop(0) if self._in_batches else status
