"""Measures a part of this process: time, memory, file operations, requests to the bucket, and bytes."""

import contextlib
import datetime
import os
import pathlib
import sys
import time
from collections import Counter
from collections.abc import Iterator

from tests import emulated_bucket
from tests.benchmarks import measuring

_OPERATIONS = {
    "open": "open",
    "os.scandir": "list",
    "os.listdir": "list",
    "os.link": "link",
    "os.rename": "rename",
    "os.remove": "remove",
    "os.mkdir": "make folder",
    "os.rmdir": "remove folder",
}
"""What Python tells of file operations -> what it is called here. It does not tell of `stat`."""


class Gauge:
    """Measures parts of this process. Linux only.

    Args:
        folder: File operations count below this folder.
        service: The bucket, if there is one.

    Attributes:
        rows: Name of a part -> what it took: `wall_s`; `cpu_s`, with child processes that have ended; `peak_mib`, the
            largest resident memory of this process meanwhile, of which `before_mib` was there at its beginning; `load`,
            the processes that wanted a core; `date`; and what was given to `measure`. Of files of this machine
            `operations` by kind, and `bytes_read` and `bytes_written` by this process; of a bucket `requests` by kind,
            and `bytes_received` and `bytes_sent`.
    """

    def __init__(self, folder: pathlib.Path, *, service: emulated_bucket.Service | None = None):
        self.rows: dict[str, dict] = {}
        self._folder, self._service = str(folder), service
        self._operations: Counter[str] | None = None
        sys.addaudithook(self._hear)

    @contextlib.contextmanager
    def measure(self, name: str, **facts: object) -> Iterator[dict]:
        """Measures a block as the part `name`. Facts that are only known in the block go into what it yields."""
        print(name, "...", file=sys.stderr, flush=True)
        pathlib.Path("/proc/self/clear_refs").write_text("5")  # Forgets the peak so far.
        before_mib = _mib("VmRSS")
        requests = 0 if self._service is None else len(self._service.requests())
        bytes_before = _file_bytes()
        self._operations = Counter()
        cpu_s, started = _cpu_s(), time.perf_counter()
        row: dict = dict(facts)
        yield row
        row["wall_s"], row["cpu_s"] = round(time.perf_counter() - started, 3), round(_cpu_s() - cpu_s, 3)
        row["before_mib"], row["peak_mib"] = before_mib, _mib("VmHWM")
        row |= self._files(bytes_before) if self._service is None else self._requests(requests)
        self._operations = None
        row |= {"load": round(os.getloadavg()[0], 1), "date": datetime.date.today().isoformat()}
        self.rows[name] = row
        print(name, row, file=sys.stderr, flush=True)

    def _files(self, before: tuple[int, int]) -> dict[str, object]:
        read, written = (now - then for now, then in zip(_file_bytes(), before, strict=True))
        return {"operations": dict(self._operations), "bytes_read": read, "bytes_written": written}

    def _requests(self, start: int) -> dict[str, object]:
        requests = self._service.requests(start=start)
        return {
            "requests": dict(Counter(request.kind for request in requests)),
            "bytes_received": sum(request.received for request in requests),
            "bytes_sent": sum(request.sent for request in requests),
        }

    def _hear(self, event: str, arguments: tuple) -> None:
        """Is called by Python for each operation of a kind that it tells of."""
        if self._operations is None or event not in _OPERATIONS:
            return
        path = arguments[0]
        if isinstance(path, str | bytes | os.PathLike) and os.fsdecode(path).startswith(self._folder):
            self._operations[_OPERATIONS[event]] += 1


def _cpu_s() -> float:
    return sum(os.times()[:4])


def _file_bytes() -> tuple[int, int]:
    """Returns how many bytes this process has read and written so far, from files and from its pipes."""
    fields = dict(line.split(": ") for line in pathlib.Path("/proc/self/io").read_text().splitlines())
    return int(fields["rchar"]), int(fields["wchar"])


def _mib(field: str) -> int:
    return measuring.memory_kib(field) // 1024
