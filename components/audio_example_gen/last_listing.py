"""Keeps the list of clips with what was made of it, so that a source that grew or shrank is noticed and said."""

import gzip
from collections.abc import Iterable

from etils import epath

from beam_jobs import shard_records, sources
from components import base

_NAME = "listing.txt.gz"


def keep(folder: epath.Path, listing: sources.Listing) -> None:
    """Writes the list into `_done/` of a folder: of the work folder at first, of the output in the end."""
    target = folder / shard_records.DONE / _NAME
    target.parent.mkdir(exist_ok=True)
    temporary = target.with_name(f"{_NAME}.writing")
    temporary.write_bytes(gzip.compress("\n".join([listing.root, *_ids(listing)]).encode(), mtime=0))
    temporary.replace(target)


def changes(listing: sources.Listing, *, context: base.StageContext) -> str:
    """What changed since the last run: "12 clips added, 3 removed since the last finished run", or "" for nothing.

    Without a finished run it is compared with the interrupted one. Of another source than that one's, nothing is said.
    """
    since, kept = _last(context)
    if kept is None:
        return ""
    root, *before = gzip.decompress(kept.read_bytes()).decode().splitlines()
    now = set(_ids(listing))
    added, removed = len(now.difference(before)), len(set(before) - now)
    if root != listing.root or not added + removed:
        return ""
    return f"{added:,} clips added, {removed:,} removed since the last {since} run"


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
    """Of every row, the refused ones too; an id is one line whatever characters it has."""
    clips = (*listing.clips, *(refused.clip for refused in listing.refused))
    return (" ".join(clip.clip_id.split()) for clip in clips)
