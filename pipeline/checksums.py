"""Checksums of published files: written when a folder is published, and compared when its content is in doubt.

They lie beside the folder: those of `saved_model/5` in `saved_model/5.sha256`. The format is that of the command
`sha256sum`, so `sha256sum -c ../5.sha256` in the folder compares them as well.
"""

import contextlib
import re
from collections.abc import Collection, Mapping

from etils import epath

from beam_jobs import storage
from pipeline import digests

CHEAP_BYTES = 2**25
"""How much of a folder is read whenever its outputs are reused, smallest files first: every JSON file, small models."""

INPUT_BYTES = 2**30
"""How much of each input is read before a stage runs, which takes seconds: any model."""

SEARCH_BYTES = 2**36
"""How much of a folder is read to find out why a stage failed."""

CORPUS_BYTES = 2**25
"""The same for a corpus in which its reader has found no damage: its JSON files."""

_REQUEST_BYTES = 2**20
"""Reading a file in a bucket takes at least as long as reading so many bytes."""

_LINE = re.compile(r"([0-9a-f]{64})  (.+)")


def write(folder: epath.Path, *, staged: epath.Path, reports: Collection[str] = ()) -> str:
    """Writes the checksums of a folder that is about to be published.

    Args:
        folder: The folder once it is published.
        staged: Where its files are now.
        reports: Names of files at its top that have no checksum, because they are for people, who may edit them.

    Returns:
        The content digest of the files, see `digests.content_digest`.
    """
    sums = digests.file_digests(staged, reports=reports)
    folder.parent.mkdir(parents=True, exist_ok=True)
    remove(folder)
    storage.write_text(_sums_file(folder), "".join(f"{sha256}  {name}\n" for name, sha256 in sums.items()))
    return digests.combined_digest(sums)


def digest(folder: epath.Path) -> str | None:
    """Returns a digest of the checksums that were written for a folder, or None if there are none."""
    file = _sums_file(folder)
    return storage.file_digest(file).sha256 if file.exists() else None


def remove(folder: epath.Path) -> None:
    """Removes what is noted about a folder, e.g. because another is published in its place."""
    _sums_file(folder).unlink(missing_ok=True)
    _altered_file(folder).unlink(missing_ok=True)


def altered_file(
    folder: epath.Path, *, sizes: Mapping[str, int] | None = None, budget: int | None = None, suspect: str = ""
) -> str | None:
    """Returns the name of a file that is missing or does not hold what was written, or None.

    A folder without checksums, e.g. one of an older version, counts as unaltered, unless it is marked. A marked file is
    read again: it may have been put back.

    Args:
        folder: A published folder or a copy of one.
        sizes: Its files, see `digests.file_sizes`; None lists them.
        budget: Number of bytes to read at most; None reads all files.
        suspect: Name of a file that is read first, whatever its size. Then follow the smallest.
    """
    sums = _read(folder)
    marked = _marked(folder)
    if marked and marked not in sums:
        return marked
    if not sums:
        return None
    if sizes is None:
        sizes = digests.file_sizes(folder) if storage.is_folder(folder) else {}
    if missing := next((name for name in sums if name not in sizes), None):
        return missing
    left = budget
    for name in sorted(sums, key=lambda name: (name not in (marked, suspect), sizes[name])):
        if left is not None and name not in (marked, suspect):
            left -= max(sizes[name], _REQUEST_BYTES) if storage.is_remote(folder) else sizes[name]
            if left < 0:
                return None
        if storage.file_digest(folder / name).sha256 != sums[name]:
            return name
    return None


def names(folder: epath.Path) -> Collection[str]:
    """Returns the relative names of the files of a folder that have a checksum."""
    return _read(folder).keys()


def has(folder: epath.Path, name: str) -> bool:
    """Returns whether there is a checksum of a file of a folder."""
    return name in _read(folder)


def mark_as_altered(folder: epath.Path, name: str) -> None:
    """Notes that a file was found altered, so that the folder is not reused though no reuse reads files that large."""
    with contextlib.suppress(OSError):  # A root that cannot be written to has been reported by whoever wrote before.
        _altered_file(folder).write_text(f"{name}\n")


def _marked(folder: epath.Path) -> str:
    """Returns the name that `mark_as_altered` noted, or ""."""
    file = _altered_file(folder)
    return file.read_text().strip() if file.exists() else ""


def _read(folder: epath.Path) -> Mapping[str, str]:
    """Returns the checksums by relative file name; none if there are none."""
    file = _sums_file(folder)
    if not file.exists():
        return {}
    lines = file.read_bytes().decode(errors="replace").splitlines()
    matches = filter(None, map(_LINE.fullmatch, lines))
    return {match[2]: match[1] for match in matches}


def _sums_file(folder: epath.Path) -> epath.Path:
    return folder.with_name(f"{folder.name}.sha256")


def _altered_file(folder: epath.Path) -> epath.Path:
    return folder.with_name(f"{folder.name}.altered")
