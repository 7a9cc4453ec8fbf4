"""Digests of JSON values and of the files in a folder."""

import json
from collections.abc import Collection, Iterable, Mapping

from etils import epath

from beam_jobs import manifest, storage


def json_digest(value: object) -> str:
    """Returns the SHA-256 of a JSON value. The order of keys does not matter."""
    return storage.text_digest(json.dumps(value, sort_keys=True))


def file_sizes(folder: epath.Path) -> dict[str, int]:
    """Returns the size of every file below a folder except records, by relative name, sorted within each folder."""
    return storage.file_sizes(folder, records=False)


def listing_digest(sizes: Mapping[str, int], *, reports: Collection[str] = ()) -> str:
    """Returns a digest of the names and sizes of all files in a folder.

    It reads no file, so it is a cheap check that published files are still there.

    Args:
        sizes: See `file_sizes`.
        reports: Names of files at the top of the folder that do not count.
    """
    return json_digest([(name, size) for name, size in sizes.items() if name not in reports])


def content_digest(folder: epath.Path, *, reports: Collection[str] = ()) -> str:
    """Returns a digest of the names and bytes of all files in a folder.

    Args:
        folder: The folder; see `file_digests` for the files that are not read.
        reports: Names of files at its top that do not count.
    """
    return combined_digest(file_digests(folder, reports=reports))


def combined_digest(sums: Mapping[str, str]) -> str:
    """Returns the content digest of a folder, from the digests of its files. See `content_digest`."""
    return json_digest(list(sums.items()))


def file_digests(folder: epath.Path, *, reports: Collection[str] = ()) -> dict[str, str]:
    """Returns the SHA-256 of every file in a folder except reports, by relative name.

    A file that a manifest records with the size that it has is not read; see `beam_jobs.manifest`.
    """
    sizes = storage.file_sizes(folder)
    manifests = _manifests(folder, sizes)
    digested = {}
    for name, size in sizes.items():
        if name not in reports and not storage.is_record(name):
            parent, _, file = name.rpartition("/")
            recorded = manifests[parent].digest(file) if parent in manifests else None
            is_recorded = recorded is not None and recorded.bytes == size
            digested[name] = (recorded if is_recorded else storage.file_digest(folder / name)).sha256
    return digested


def _manifests(folder: epath.Path, names: Iterable[str]) -> dict[str, manifest.Manifest]:
    """Returns the manifests below a folder, by the relative name of the folder that they describe."""
    records: dict[str, list[str]] = {}
    for name in filter(storage.is_record, names):
        parent, _, file = name.rpartition("/")
        records.setdefault(parent.rpartition("/")[0] if "/" in parent else "", []).append(file)
    return {parent: manifest.Manifest.read(folder / parent, records=records[parent]) for parent in records}
