"""`python -m tests.benchmarks.audioset.bucket FOLDER`: the emulated bucket, with sources of made-up clips.

The listing of gs://bucket/audioset-N names the files of N clips beside what was uploaded there. They cannot be read.
"""

import contextlib
import functools
import json
import os
import pathlib
import tempfile
import urllib.parse
from collections.abc import Iterator
from unittest import mock

from beam_jobs import google_path as google_path  # Paths of buckets.
from tests import bucket_proxy, emulated_bucket
from tests.benchmarks.audioset import made_up

_SOURCE = "audioset-"
_BYTES, _CRC32C = "160000", "AAAAAA=="


def source(clips: int) -> str:
    """Returns the address of a source of made-up clips."""
    return f"gs://bucket/{_SOURCE}{clips}"


@contextlib.contextmanager
def service() -> Iterator[emulated_bucket.Service]:
    """Starts the bucket, which this process then uses."""
    with tempfile.TemporaryDirectory() as folder:
        started = emulated_bucket.Service(pathlib.Path(folder), proxy=__name__)
        try:
            with mock.patch.dict(os.environ, started.environment):
                yield started
        finally:
            started.stop()


class Handler(bucket_proxy.Handler):
    """Answers the listings of sources of made-up clips, a page at a time."""

    def forward(self, path, body):
        parts = urllib.parse.urlsplit(path)
        query = {name: values[0] for name, values in urllib.parse.parse_qs(parts.query).items()}
        prefix = query.get("prefix", "")
        if not (parts.path.endswith("/o") and prefix.startswith(_SOURCE)) or "delimiter" in query:
            return super().forward(path, body)
        folder, _, start = prefix.partition("/")
        names = _names(self.server.emulator, int(folder.removeprefix(_SOURCE)))
        names = [name for name in names if name.startswith(start)] if start else names
        first, size = int(query.get("pageToken", 0)), int(query["maxResults"])
        items = [
            {"name": f"{folder}/{name}", "size": _BYTES, "crc32c": _CRC32C, "generation": "1700000000000000"}
            for name in names[first : first + size]
        ]
        more = {"nextPageToken": str(first + size)} if first + size < len(names) else {}
        return 200, [("Content-Type", "application/json")], json.dumps({"items": items, **more}).encode()


@functools.cache
def _names(emulator: bucket_proxy.Emulator, clips: int) -> list[str]:
    """Returns the names in a source in the order of a listing, as they are when it is first listed."""
    prefix = f"{_SOURCE}{clips}/"
    _, _, content = emulator.forward("GET", f"/storage/v1/b/bucket/o?prefix={prefix}&maxResults=1000", None, {})
    uploaded = [item["name"].removeprefix(prefix) for item in json.loads(content).get("items", ())]
    return sorted([*uploaded, *made_up.file_names(clips)])


if __name__ == "__main__":
    bucket_proxy.main(Handler)
