"""Reads and writes small files that several processes write at the same time, such as the lease of a remote root."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from etils import epath
    from google.cloud import storage as gcs

SETTLE_S = 2.0
"""How long `replace_if` waits for writers that have started before, where the service cannot compare and write."""


def read_if_exists(path: epath.Path) -> bytes | None:
    """Returns the content of a small file as it is now, or None if there is no such file."""
    blob = _blob(path)
    if blob is None:
        return path.read_bytes() if path.exists() else None
    # Imported here because it comes with an extra, as in `bucket_and_name`.
    from google.api_core import exceptions

    try:
        return blob.download_as_bytes()
    except exceptions.NotFound:
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
    blob = _blob(path)
    if blob is None:
        if read_if_exists(path) != expected:
            return False
        path.write_bytes(content)
        time.sleep(SETTLE_S)
        return read_if_exists(path) == content
    # Imported here because it comes with an extra, as in `bucket_and_name`.
    from google.api_core import exceptions

    try:
        found = blob.bucket.get_blob(blob.name)
        if (found.download_as_bytes(if_generation_match=found.generation) if found else None) != expected:
            return False
        # Generation 0 stands for no object.
        blob.upload_from_string(content, if_generation_match=found.generation if found else 0)
    except (exceptions.NotFound, exceptions.PreconditionFailed):
        return False
    return True


def bucket_and_name(path: epath.PathLike) -> tuple[gcs.Bucket, str] | None:
    """Returns a place on Cloud Storage for Google's client. None: it is elsewhere, or the client is not installed."""
    if not str(path).startswith("gs://"):
        return None
    try:
        # Imported here because it comes with the extra `gcp`.
        import google.cloud.storage as gcs
    except ImportError:
        return None
    bucket, _, name = str(path).removeprefix("gs://").partition("/")
    return gcs.Client().bucket(bucket), name


def _blob(path: epath.Path) -> gcs.Blob | None:
    """Returns the file; see `bucket_and_name`."""
    found = bucket_and_name(path)
    return None if found is None else found[0].blob(found[1])
