"""Digests of JSON values and of the files in a folder."""

import json
from collections.abc import Collection, Iterator, Mapping

from etils import epath

from beam_jobs import storage


def json_digest(value: object) -> str:
    """Returns the SHA-256 of a JSON value. The order of keys does not matter."""
    return storage.text_digest(json.dumps(value, sort_keys=True))


def listing_digest(folder: epath.Path) -> str:
    """Returns a digest of the names and sizes of all files in a folder.

    It reads no file, so it is a cheap check that published files are still there.
    """
    return json_digest([(name, storage.size(file)) for name, file in _files(folder)])


def content_digest(folder: epath.Path, *, reports: Collection[str] = ()) -> str:
    """Returns a digest of the names and bytes of all files in a folder.

    Args:
        folder: The folder; see `file_digests` for the files that are not read.
        reports: Names of files at its top that do not count.
    """
    return combined_digest(file_digests(folder), reports=reports)


def combined_digest(sums: Mapping[str, str], *, reports: Collection[str] = ()) -> str:
    """Returns the content digest of a folder, from the digests of its files. See `content_digest`."""
    return json_digest([(name, sha256) for name, sha256 in sums.items() if name not in reports])


def file_digests(folder: epath.Path) -> dict[str, str]:
    """Returns the SHA-256 of every file in a folder, by relative name. Records are treated as in `content_digest`."""
    return {name: _file_sha256(file) for name, file in _files(folder)}


def _files(folder: epath.Path) -> Iterator[tuple[str, epath.Path]]:
    """Yields all files below a folder except records as (relative name, path), sorted within each folder."""
    for entry in sorted(storage.entries(folder)):
        if entry.name == storage.RECORDS_FOLDER:
            continue
        path = folder / entry.name
        if entry.is_folder:
            for name, file in _files(path):
                yield f"{entry.name}/{name}", file
        else:
            yield entry.name, path


def _file_sha256(file: epath.Path) -> str:
    record_file = file.parent / storage.RECORDS_FOLDER / f"{file.name}.json"
    if record_file.exists():
        record = json.loads(record_file.read_text())
        if "sha256" in record and record.get("bytes") == storage.size(file):
            return record["sha256"]
    return storage.file_digest(file).sha256
