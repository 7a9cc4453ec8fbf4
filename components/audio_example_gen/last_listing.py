"""Keeps the list of clips with what was made of it, so that a source that grew or shrank is noticed and said."""

import gzip
from collections.abc import Iterable

from etils import epath

from beam_jobs import sources, storage
from beam_jobs.ingest import records as shard_records
from components import base

_NAME = "listing.txt.gz"
_MISSING = "\tmissing"  # behind the id of a row without a file


def keep(folder: epath.Path, listing: sources.Listing) -> None:
    """Writes the list into `_done/` of a folder: of the work folder at first, of the output in the end."""
    target = folder / shard_records.DONE / _NAME
    target.parent.mkdir(exist_ok=True)
    missing = _missing(listing)
    lines = (clip_id + _MISSING * (clip_id in missing) for clip_id in _ids(listing))
    storage.write_bytes(target, gzip.compress("\n".join([listing.root, *lines]).encode(), mtime=0))


def changes(listing: sources.Listing, *, context: base.StageContext) -> str:
    """What changed since the last run, or "" for nothing.

    As in "12 clips added, 3 removed, 5 files arrived, 1 gone since the last finished run", where the files are those of
    rows that both lists have. Without a finished run it is compared with the interrupted one. Of another source than
    that one's, nothing is said.
    """
    since, kept = _last(context)
    if kept is None:
        return ""
    root, *lines = gzip.decompress(kept.read_bytes()).decode().splitlines()
    if root != listing.root:
        return ""
    before, now = {line.removesuffix(_MISSING) for line in lines}, set(_ids(listing))
    missed = {line.removesuffix(_MISSING) for line in lines if line.endswith(_MISSING)}
    missing = _missing(listing)
    added, removed = len(now - before), len(before - now)
    arrived, gone = len((missed & now) - missing), len((missing & before) - missed)
    said = [f"{added:,} clips added, {removed:,} removed"] * bool(added or removed)
    said += [f"{arrived:,} files arrived, {gone:,} gone"] * bool(arrived or gone)
    return f"{', '.join(said)} since the last {since} run" if said else ""


def _last(context: base.StageContext) -> tuple[str, epath.Path | None]:
    if "examples" in context.previous:
        finished = context.previous["examples"] / shard_records.DONE / _NAME
        if finished.exists():
            return "finished", finished
    # Of a source that has changed since, the runner gives another work folder, beside the one that is left.
    folders = [folder for folder in context.work_dir.parent.iterdir() if folder.is_dir()]
    kept = [path for folder in folders if (path := folder / shard_records.DONE / _NAME).exists()]
    return "interrupted", max(kept, key=lambda path: path.stat().mtime, default=None)


def _ids(listing: sources.Listing) -> Iterable[str]:
    """Of every row, the refused ones too."""
    return map(_id, (*listing.clips, *(refused.clip for refused in listing.quarantined)))


def _missing(listing: sources.Listing) -> set[str]:
    """The ids of the rows whose file is not there: it may arrive later, as AudioSet's do."""
    return {_id(refused.clip) for refused in listing.quarantined if refused.cause == "missing"}


def _id(clip: sources.Clip) -> str:
    """One line without tabs, whatever characters the id has."""
    return " ".join(clip.clip_id.split())
