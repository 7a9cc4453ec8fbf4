"""Reads and writes small files that several processes write at the same time, such as the lease of a remote root."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from beam_jobs import google_storage

if TYPE_CHECKING:
    from etils import epath

SETTLE_S = 2.0
"""How long `replace_if` waits for writers that have started before, where the service cannot compare and write."""


def read_if_exists(path: epath.Path) -> bytes | None:
    """Returns the content of a small file as it is now, or None if there is no such file."""
    if not google_storage.is_used_for(path):
        return path.read_bytes() if path.exists() else None
    try:
        return google_storage.read(path)
    except FileNotFoundError:
        return None


def replace_if(path: epath.Path, content: bytes, *, expected: bytes | None) -> bool:
    """Writes a small remote file, unless another process has changed it.

    On Cloud Storage with Google's client (extra `gcp`), the service compares and writes in one step, so only one of
    several processes succeeds. Elsewhere this is a best effort: the file is read back after `SETTLE_S`, and the process
    that wrote last succeeds. A process that takes longer than that between its reading and its writing overwrites the
    file of one that has already succeeded, which sees it when it next calls `replace_if`.

    Args:
        path: The file.
        content: What to write.
        expected: What the file must hold before; None if it must not exist.

    Returns:
        Whether the file now holds `content`.
    """
    if not google_storage.is_used_for(path):
        if read_if_exists(path) != expected:
            return False
        path.write_bytes(content)
        time.sleep(SETTLE_S)
        return read_if_exists(path) == content
    # Imported here because it comes with an extra.
    from google.api_core import exceptions

    generation = 0  # That of a file that does not exist.
    if expected is not None:
        found = google_storage.stat(path)
        if found is None or read_if_exists(path) != expected:
            return False
        generation = found.generation
    try:
        google_storage.upload(path, content, replaces=generation)
    except exceptions.PreconditionFailed:
        # Another process was first, or this one was, and the answer to its first request was lost.
        return read_if_exists(path) == content
    return True
