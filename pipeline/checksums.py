"""Checksums of published files: written when a folder is published, and compared when its content is in doubt.

They lie beside the folder: those of `saved_model/5` in `saved_model/5.sha256`. The format is that of the command
`sha256sum`, so `sha256sum -c ../5.sha256` in the folder compares them as well.
"""

import contextlib
import re
from collections.abc import Mapping

from etils import epath

from beam_jobs import storage
from pipeline import digests

CHEAP_BYTES = 2**25
"""How much of a folder is read whenever its outputs are reused, smallest files first: every JSON file, small models."""

INPUT_BYTES = 2**30
"""How much of each input is read before a stage runs, which takes seconds: any model, and no large corpus."""

SEARCH_BYTES = 2**36
"""How much of a folder is read to find out why a stage failed. Terabytes of audio would take hours."""

_LINE = re.compile(r"([0-9a-f]{64})  (.+)")


def write(folder: epath.Path, *, staged: epath.Path) -> None:
    """Writes the checksums of a folder that is about to be published.

    Args:
        folder: The folder once it is published.
        staged: Where its files are now.
    """
    sums = digests.file_digests(staged)
    folder.parent.mkdir(parents=True, exist_ok=True)
    remove(folder)
    storage.write_text(_sums_file(folder), "".join(f"{sha256}  {name}\n" for name, sha256 in sums.items()))
    return digests.json_digest(list(sums.items()))


def remove(folder: epath.Path) -> None:
    """Removes what is noted about a folder, e.g. because another is published in its place."""
    _sums_file(folder).unlink(missing_ok=True)
    _altered_file(folder).unlink(missing_ok=True)


def altered_file(folder: epath.Path, *, budget: int | None = None, suspects: str = "") -> str | None:
    """Returns the name of a file that is missing or does not hold what was written, or None.

    A folder without checksums, e.g. one of an older version, counts as unaltered.

    Args:
        folder: A published folder or a copy of one.
        budget: Number of bytes to read at most; None reads all files.
        suspects: A text. The files that it names are read first, whatever their size; then follow the smallest.
    """
    marked = _marked(folder)
    if marked:
        return marked
    sums = _read(folder)
    if missing := next((name for name in sums if not (folder / name).exists()), None):
        return missing
    sizes = {name: storage.size(folder / name) for name in sums}
    for name in sorted(sums, key=lambda name: (name.rpartition("/")[2] not in suspects, sizes[name])):
        is_suspect = name.rpartition("/")[2] in suspects
        if budget is not None and not is_suspect:
            budget -= sizes[name]
            if budget < 0:
                return None
        if storage.file_digest(folder / name).sha256 != sums[name]:
            return name
    return None


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
