"""What tells whether a source has changed: the names of its files and, where that is cheap, their sizes and times.

A bucket tells the names of a thousand files in one call, but size and time of each in a call of its own, which are
hours for AudioSet. There names count, and the content of the lists: a file replaced under its own name goes unnoticed.
"""

import hashlib
import os
from collections.abc import Iterator

from etils import epath

from beam_jobs import sources, storage
from beam_jobs.sources import clips, files, manifest

_LISTS = (".csv", ".json")


def digest(source: str) -> str:
    """The SHA-256 of what tells, of a folder or a CSV manifest, local or gs://."""
    path, found = epath.Path(source), hashlib.sha256()
    if not path.is_dir():
        parts = _of_manifest(path)
    elif storage.is_remote(source):
        parts = _of_bucket(path)
    else:
        parts = sorted(_of_folder(source))
    for part in parts:
        found.update(f"{part}\n".encode(errors="surrogateescape"))  # file names may be in any coding
    return found.hexdigest()


def _of_folder(folder: str) -> Iterator[str]:
    for parent, _, names in os.walk(folder):
        for name in names:
            file = os.path.join(parent, name)
            yield _described(os.path.relpath(file, folder), file)


def _of_bucket(folder: epath.Path) -> Iterator[str]:
    for name in files.names(str(folder)):
        yield f"{name}\0{_content(folder / name)}" if name.endswith(_LISTS) else name


def _of_manifest(table: epath.Path) -> Iterator[str]:
    yield _content(table)
    try:
        paths = sorted(set(manifest.paths(table)))
    except clips.SourceError:  # which the stage will tell
        return
    for name in paths:
        file = str(sources.locate(table.parent, name))
        yield name if storage.is_remote(file) else _described(name, file)


def _content(file: epath.Path) -> str:
    return storage.file_digest(file).sha256


def _described(name: str, file: str) -> str:
    try:
        stat = os.stat(file)
    except OSError:  # a dangling link, or a file that is listed and not there
        return f"{name}\0missing"
    return f"{name}\0{stat.st_size}\0{stat.st_mtime_ns}"
