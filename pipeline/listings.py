"""Lists published folders. On a bucket one listing serves all folders of a root, because each request takes a while."""

import os
import time
from collections.abc import Collection, Mapping

from etils import epath

from beam_jobs import google_storage, storage
from pipeline import digests

KEPT_S = 60.0
"""How long a listing of a bucket is used. What this process changes itself is seen at once, see `forget`."""

_kept: dict[str, tuple[float, Mapping[str, google_storage.Listed]]] = {}
"""Folder `artifacts` of a root -> when it was listed, and its files."""


def describe(folder: epath.Path, *, reports: Collection[str] = ()) -> str:
    """Returns what `Artifact.listing` holds of a folder that is about to be published.

    It is the digest of names and sizes; on Cloud Storage, after a space, also that of names, sizes and checksums, which
    tells with nothing but a listing that no content was altered.
    """
    forget()
    if not google_storage.is_used_for(folder):
        return digests.listing_digest(digests.file_sizes(folder), reports=reports)
    return " ".join(_of_listed(google_storage.list_files(folder), reports))


def in_bucket(folder: epath.Path) -> dict[str, google_storage.Listed]:
    """Returns the files below a published folder on Cloud Storage by relative name; see `pipeline.root.Root.published`.

    They may be as they were `KEPT_S` ago.
    """
    artifacts = os.fspath(folder.parents[2])
    listed_s, files = _kept.get(artifacts, (-KEPT_S, {}))
    if time.monotonic() - listed_s >= KEPT_S:
        files = google_storage.list_files(artifacts)
        _kept[artifacts] = (time.monotonic(), files)
    prefix = f"{os.fspath(folder).removeprefix(artifacts)[1:]}/"
    return {name.removeprefix(prefix): listed for name, listed in files.items() if name.startswith(prefix)}


def is_as_described(
    description: str, files: Mapping[str, google_storage.Listed], *, reports: Collection[str] = ()
) -> bool | None:
    """Compares the files of a folder on Cloud Storage with what `describe` has returned for it.

    Returns:
        Whether they are the same; None if an earlier version has described it, whose description tells no content.
    """
    sizes, _, content = description.partition(" ")
    if sizes not in (_of_listed(files, reports)[0], _of_listed(files, ())[0]):  # Earlier versions counted the reports.
        return False
    return _of_listed(files, reports)[1] == content if content else None


def forget() -> None:
    """Forgets the listings, because this process has written or removed files."""
    _kept.clear()


def _of_listed(files: Mapping[str, google_storage.Listed], reports: Collection[str]) -> tuple[str, str]:
    """Returns the digest of names and sizes, and that of names, sizes and checksums."""
    names = [name for name in files if name not in reports and not storage.is_record(name)]
    names.sort(key=lambda name: name.split("/"))
    sizes = {name: files[name].bytes for name in names}
    return digests.listing_digest(sizes), digests.json_digest([(name, *files[name][:2]) for name in names])
