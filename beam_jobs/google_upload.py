"""Large files to Cloud Storage in two requests: one starts the upload, the other streams the file from the disk.

Google's client holds each part of a file that it sends in memory, and takes a request for each. Here, a request that
fails is followed by one for what has not arrived.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from typing import TYPE_CHECKING, BinaryIO

from beam_jobs.google_client import client, retrying

if TYPE_CHECKING:
    from google.cloud import storage as gcs

_TIMEOUT_S = 60
"""How long the service may take no byte, or leave a request without an answer."""

_PATIENCE_S = 120
"""How long requests may fail without that any more arrives."""

_BLOCK_BYTES = 2**18
"""So much of the file is in memory."""

_INCOMPLETE = 308
"""The status with which the service says how much has arrived."""

_FORGOTTEN = (404, 410)
"""The statuses with which the service says that it knows nothing of an upload."""


def send(blob: gcs.Blob, source: str) -> None:
    """Writes a file of this machine.

    Args:
        blob: The object, with its metadata.
        source: Name of the file of this machine. It must not be empty.

    Raises:
        google.api_core.exceptions.GoogleAPICallError: The service refuses the file, or fails again and again.
        OSError: The service cannot be reached, or the file cannot be read.
    """
    with open(source, "rb") as file:
        upload = _Upload(blob, file, size=os.path.getsize(source))
        retrying().with_timeout(None)(upload.finish, on_error=upload.failed)()


class _Rest:
    """A file from `start` on. Google's client sends it a second time if the credentials turn out to be too old."""

    def __init__(self, file: BinaryIO, start: int, size: int):
        self._file, self._start, self._size = file, start, size

    def __len__(self) -> int:
        return self._size - self._start

    def __iter__(self) -> Iterator[bytes]:
        self._file.seek(self._start)
        while block := self._file.read(_BLOCK_BYTES):
            yield block


class _Upload:
    """An upload, and how far it has come.

    Args:
        blob: The object.
        file: Its content.
        size: Its size in bytes.
    """

    def __init__(self, blob: gcs.Blob, file: BinaryIO, *, size: int):
        self._blob, self._file, self._size = blob, file, size
        self._url = ""
        self._arrived, self._is_known = 0, False
        self._failing_since_s: float | None = None

    def finish(self) -> None:
        """Sends what has not arrived, or all of it if the service has forgotten the upload."""
        # Imported here because it comes with an extra.
        from google.api_core import exceptions

        if not self._url:
            self._url = self._blob.create_resumable_upload_session(
                content_type="application/octet-stream", size=self._size, timeout=_TIMEOUT_S, retry=None
            )
            self._arrived, self._is_known = 0, True
        try:
            if not self._is_known:
                self._put(b"", content_range=f"bytes */{self._size}")
            if self._arrived < self._size:
                self._is_known = False
                self._put(
                    _Rest(self._file, self._arrived, self._size),
                    content_range=f"bytes {self._arrived}-{self._size - 1}/{self._size}",
                )
        except exceptions.GoogleAPICallError as error:
            if error.code not in _FORGOTTEN:
                raise
            self._url = ""
            raise exceptions.ServiceUnavailable("The service has forgotten the upload.") from error
        if self._arrived < self._size:
            raise exceptions.ServiceUnavailable("The service has taken only a part of the file.")

    def failed(self, error: Exception) -> None:
        """Raises the error of a request if nothing more has arrived for so long."""
        now_s = time.monotonic()
        if self._failing_since_s is None:
            self._failing_since_s = now_s
        if now_s - self._failing_since_s > _PATIENCE_S:
            raise error

    def _put(self, content: _Rest | bytes, *, content_range: str) -> None:
        """Sends content, or none to ask, and notes how much has arrived in all."""
        # Imported here because it comes with an extra.
        from google.api_core import exceptions

        headers = {"Content-Range": content_range}
        answer = client()._http.put(self._url, data=content, headers=headers, timeout=_TIMEOUT_S)
        if answer.status_code == _INCOMPLETE:  # "Range: bytes=0-99" for 100 bytes, no such header for none.
            arrived = int(answer.headers.get("Range", "bytes=0--1").removeprefix("bytes=0-")) + 1
        elif answer.ok:
            arrived = self._size
        else:
            raise exceptions.from_http_response(answer)
        if arrived > self._arrived:
            self._failing_since_s = None
        self._arrived, self._is_known = arrived, True
