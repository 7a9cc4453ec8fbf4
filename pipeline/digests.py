"""Digests of JSON values and of the files in a folder."""

import json
from collections.abc import Iterator

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


def content_digest(folder: epath.Path) -> str:
    """Returns a digest of the names and bytes of all files in a folder.

    A file is not read if its record in `storage.RECORDS_FOLDER` has the file's size. Then the record's SHA-256 is used.
    """
    return json_digest([(name, _file_sha256(file)) for name, file in _files(folder)])


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
