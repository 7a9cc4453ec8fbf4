"""Digests a source, so that the runner notices when it has changed.

The digest covers the files that the listing finds: audio and CSV files, and all files of a TFDS dataset. It covers
their names, on this machine their sizes and times, and on Cloud Storage their sizes and checksums, which come with the
names, a thousand per call. Other buckets, and Cloud Storage without Google's client, tell sizes only file by file,
which would take hours for AudioSet. There the digest covers the names of the files and the content of the lists, and
does not change if a file is replaced under the same name. The path of a local source does not count, so that it may be
spelled otherwise or moved.
"""

import hashlib
import itertools
import os
from collections.abc import Iterator

from etils import epath

from beam_jobs import sources, storage
from beam_jobs.sources import clips, files, manifest

_LISTS = (".csv", ".json")


def digest(source: str) -> str:
    """Returns the digest of a folder or a CSV manifest, local or gs://, in hexadecimal."""
    path = epath.Path(source)
    # The checks before a run have found that only a CSV manifest is no folder; asking a bucket takes a request.
    is_folder = storage.is_folder(path) if not storage.is_remote(path) or path.suffix.lower() == ".csv" else True
    parts = _folder_parts(path) if is_folder else _manifest_parts(path)
    sha256 = hashlib.sha256()
    if storage.is_remote(source):
        sha256.update(f"{storage.canonical(source)}\n".encode())
    for part in parts:
        sha256.update(f"{part}\n".encode(errors="surrogateescape"))  # File names may be in any encoding.
    return sha256.hexdigest()


def _folder_parts(folder: epath.Path) -> Iterator[str]:
    top = os.fspath(folder)
    is_remote = storage.is_remote(top)
    found = files.walk(top)
    of_dataset = found.others if set(found.others) >= sources.TFDS_FILES else []
    for name in itertools.chain(found.audio, found.tables, of_dataset):
        if not is_remote:
            yield _name_size_time(name, os.path.join(top, name))
        elif name in found.listed:
            yield f"{name}\0{found.listed[name].bytes}\0{found.listed[name].crc32c}"
        elif name.lower().endswith(_LISTS):
            yield f"{name}\0{_content(folder / name)}"
        else:
            yield name
    for name in found.unreadable:
        yield f"{name}\0unreadable"
    if manifest.NAME in found.tables:
        # It may name files that are elsewhere.
        yield from _manifest_parts(folder / manifest.NAME, has_content=manifest.NAME not in found.listed)


def _manifest_parts(table: epath.Path, *, has_content: bool = True) -> Iterator[str]:
    try:
        if has_content:
            yield _content(table)
        paths = sorted(set(manifest.paths(table)))
    except (OSError, clips.SourceError):  # The stage reports a malformed or unreadable manifest.
        return
    for name in paths:
        file = str(sources.locate(table.parent, name))
        yield name if storage.is_remote(file) else _name_size_time(name, file)


def _content(file: epath.Path) -> str:
    return storage.file_digest(file).sha256


def _name_size_time(name: str, file: str) -> str:
    try:
        stat = os.stat(file)
    except (OSError, ValueError):  # A broken link, a file that is listed but does not exist, or a name with a zero.
        return f"{name}\0missing"
    return f"{name}\0{stat.st_size}\0{stat.st_mtime_ns}"
