"""Reports how far a running job is, by the records of its shards: it may run on other machines."""

import contextlib
import threading
from collections.abc import Iterator

from etils import epath

from beam_jobs import shard_records
from components import base

_EVERY_S = 0.5
_EVERY_REMOTE_S = 10.0  # listing a bucket is slow and has its price


@contextlib.contextmanager
def progress(work: epath.Path, *, total: int, quarantined: int, to: base.Progress) -> Iterator[None]:
    """Reports clips done and quarantined while the block runs.

    Args:
        work: Where the shards are written.
        total: Clips to decode.
        quarantined: How many were refused before.
        to: Where to report.
    """
    stop = threading.Event()
    seen: dict[str, shard_records.ShardRecord] = {}

    def look() -> None:
        seen.update({record.file: record for record in shard_records.finished(work, known=seen)})
        done = sum(record.listed for record in seen.values())
        left_out = quarantined + sum(len(record.quarantined) for record in seen.values())
        to.update(min(total, done), total=total, unit="clips", quarantined=left_out)

    def watch() -> None:
        while not stop.wait(_EVERY_REMOTE_S if "://" in str(work) else _EVERY_S):
            look()

    thread = threading.Thread(target=watch, name="shards", daemon=True)
    thread.start()
    try:
        yield
        look()
    finally:
        stop.set()
        thread.join()
