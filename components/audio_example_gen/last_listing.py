"""Keeps the list of clips with the shards made from it, to report how the source has changed since the last run."""

import dataclasses
import gzip
import zlib

from absl import logging
from etils import epath

from beam_jobs import sources, storage
from components import base, text

_NAME = "listing.txt.gz"
_MISSING = "\tmissing"  # Follows the id of a row whose file is missing.


def keep(folder: epath.Path, listing: sources.Listing) -> None:
    """Writes the list into `_done/` of a folder: first of the work folder, then of the published output."""
    target = folder / storage.RECORDS_FOLDER / _NAME
    target.parent.mkdir(exist_ok=True)
    storage.write_bytes(target, _Rows.of(listing).to_bytes())


def changes(listing: sources.Listing, *, context: base.StageContext) -> str:
    """Describes what has changed in the source since the stage's last run.

    The list is compared with that of the last finished run. Without one, it is compared with that of the last
    interrupted run.

    Returns:
        A phrase such as "12 clips added, 3 removed, 5 files arrived, 1 gone since the last finished run". Files are
        counted only for rows that are in both lists. The phrase is empty if nothing has changed, if there is no earlier
        list, or if the earlier list is that of another source.
    """
    run, path = "finished", _finished(context)
    if path is None:
        run, path = "interrupted", _interrupted(context)
    if path is None:
        return ""
    try:
        before = _Rows.from_bytes(path.read_bytes())
    except (EOFError, OSError, ValueError, zlib.error) as error:
        logging.warning("%s is damaged (%s), so what has changed in the source is not known", path, error)
        return ""
    now = _Rows.of(listing)
    if before.root != now.root:
        return ""
    ids_before, ids_now = set(before.ids), set(now.ids)
    added, removed = ids_now - ids_before, ids_before - ids_now
    arrived = (before.missing & ids_now) - now.missing
    gone = (now.missing & ids_before) - before.missing
    phrases = []
    if added or removed:
        phrases.append(f"{text.plural(len(added), 'clip')} added, {len(removed):,} removed")
    if arrived or gone:
        phrases.append(f"{text.plural(len(arrived), 'file')} arrived, {len(gone):,} gone")
    if not phrases:
        return ""
    return f"{', '.join(phrases)} since the last {run} run"


@dataclasses.dataclass(frozen=True, kw_only=True)
class _Rows:
    """The rows of a source's lists, usable or not, as the kept file holds them.

    Attributes:
        root: The source.
        ids: Id of each row.
        missing: Ids of the rows whose file is missing. AudioSet's files often arrive later.
    """

    root: str
    ids: tuple[str, ...]
    missing: frozenset[str]

    @classmethod
    def of(cls, listing: sources.Listing) -> "_Rows":
        rows = [*listing.clips, *(row.clip for row in listing.quarantined)]
        missing = [row.clip for row in listing.quarantined if row.cause == "missing"]
        return cls(root=listing.root, ids=tuple(map(_one_line, rows)), missing=frozenset(map(_one_line, missing)))

    @classmethod
    def from_bytes(cls, content: bytes) -> "_Rows":
        root, *lines = gzip.decompress(content).decode().split("\n")
        return cls(
            root=root,
            ids=tuple(line.removesuffix(_MISSING) for line in lines),
            missing=frozenset(line.removesuffix(_MISSING) for line in lines if line.endswith(_MISSING)),
        )

    def to_bytes(self) -> bytes:
        lines = [clip_id + _MISSING if clip_id in self.missing else clip_id for clip_id in self.ids]
        return gzip.compress("\n".join([self.root, *lines]).encode(), mtime=0)


def _finished(context: base.StageContext) -> epath.Path | None:
    if "examples" not in context.previous:
        return None
    path = context.previous["examples"] / storage.RECORDS_FOLDER / _NAME
    return path if path.exists() else None


def _interrupted(context: base.StageContext) -> epath.Path | None:
    """Returns the newest list in a work folder. A source that has changed gets another work folder than before."""
    paths = [folder / storage.RECORDS_FOLDER / _NAME for folder in (context.work_dir, *context.earlier_work_dirs)]
    kept = [path for path in paths if path.exists()]
    return max(kept, key=storage.modified_s, default=None)


def _one_line(clip: sources.Clip) -> str:
    """Returns the clip's id without line breaks and tabs, which separate ids and marks in the file."""
    return " ".join(clip.clip_id.split())
