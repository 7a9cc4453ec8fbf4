"""Digests of JSON values and of the files in a folder."""

import json
from collections.abc import Collection, Mapping

from etils import epath

from beam_jobs import storage


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

    A file that has a record, see `storage.RECORDS_FOLDER`, is not read if it has the size in there.
    """
    sizes = storage.file_sizes(folder)
    return {
        name: _recorded_sha256(folder, name, sizes=sizes) or storage.file_digest(folder / name).sha256
        for name in sizes
        if name not in reports and not _is_record(name)
    }


def _is_record(name: str) -> bool:
    return storage.RECORDS_FOLDER in name.split("/")[:-1]


def _recorded_sha256(folder: epath.Path, name: str, *, sizes: Mapping[str, int]) -> str | None:
    parent, slash, file = name.rpartition("/")
    record_name = f"{parent}{slash}{storage.RECORDS_FOLDER}/{file}.json"
    if record_name not in sizes:
        return None
    record = json.loads((folder / record_name).read_text())
    return record.get("sha256") if record.get("bytes") == sizes[name] else None
