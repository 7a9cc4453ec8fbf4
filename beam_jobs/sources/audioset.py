"""AudioSet as people hold it: the official lists, and clips named in any of the usual ways."""

import math
import re
from collections.abc import Iterable, Mapping

from etils import epath

from beam_jobs.sources import clips as common
from beam_jobs.sources.clips import Clip, Listing, SourceError

# 11 characters of YouTube's, perhaps after a Y, then start and end in s or ms.
_SEGMENT_NAME = re.compile(r"^Y?([\w-]{11})(?:_(\d+(?:\.\d+)?))?(?:[_-](\d+(?:\.\d+)?))?$", re.ASCII)


def find_lists(folder: epath.Path, pattern: str = "*_segments.csv") -> list[epath.Path]:
    """The lists in a folder or, if there are none, in its sub-folders."""
    return sorted(folder.glob(pattern)) or sorted(folder.glob(f"*/{pattern}"))


def list_clips(folder: epath.Path, files: list[str]) -> Listing:
    """The official lists, and clips in the usual namings; a list with "eval" in its name is the eval split."""
    lists = find_lists(folder)
    if not lists:
        raise SourceError(
            f"there is no *_segments.csv in {folder}, which the audioset layout needs; give the folder of the lists"
        )
    classes = find_lists(folder, "class_labels_indices.csv")
    if not classes:
        raise SourceError(f"there is no class_labels_indices.csv in {folder}; put AudioSet's beside {lists[0].name}")
    names = _class_names(classes[0])
    index, unnamed = _index_by_ytid(files)
    clips: dict[str, Clip] = {}
    missing: dict[str, Clip] = {}
    rows = 0
    for table in lists:
        for line, row in common.rows(table):
            clip = _segment(table, line=line, row=row, names=names, index=index)
            rows += 1
            if clip.clip_id not in clips and clip.clip_id not in missing:
                (clips if clip.path else missing)[clip.clip_id] = clip
    used = {clip.path for clip in clips.values()}
    left_out = {
        "rows that repeat a segment": rows - len(clips) - len(missing),
        "audio files not named after a segment": unnamed,
        "audio files of segments in no list": len(files) - unnamed - len(used),
    }
    return Listing(
        clips=list(clips.values()),
        missing=list(missing.values()),
        label_names=tuple(names.values()),
        layout="audioset",
        left_out=common.counted(left_out),
    )


def _class_names(table: epath.Path) -> dict[str, str]:
    """Maps mid to display name, in index order, of `class_labels_indices.csv`."""
    names = {}
    for line, row in list(common.rows(table))[1:]:
        if len(row) != 3 or row[0] != str(len(names)) or row[1] in names or row[2] in names.values():
            raise SourceError(
                f"{table}:{line}: expected '{len(names)},<mid>,<display name>', both given once only; "
                "put AudioSet's own file there"
            )
        names[row[1]] = row[2]
    if not names:
        raise SourceError(f"{table} lists no class; put AudioSet's own file there")
    return names


def _index_by_ytid(files: Iterable[str]) -> tuple[dict[str, list[tuple[str, float | None]]], int]:
    """Maps ytid to [(file, the start in its name)], and counts the files not named after a segment."""
    index: dict[str, list[tuple[str, float | None]]] = {}
    unnamed = 0
    for file in files:
        if match := _SEGMENT_NAME.match(common.stem(file)):
            ytid, start, _ = match.groups()
            index.setdefault(ytid, []).append((file, None if start is None else float(start)))
        else:
            unnamed += 1
    return index, unnamed


def _segment(
    table: epath.Path,
    *,
    line: int,
    row: list[str],
    names: Mapping[str, str],
    index: Mapping[str, list[tuple[str, float | None]]],
) -> Clip:
    try:
        ytid, start, end, mids = row[0], float(row[1]), float(row[2]), row[3]
        if len(row) != 4 or not 0 <= start < end < math.inf:
            raise ValueError
    except (ValueError, IndexError):
        raise SourceError(
            f"{table}:{line}: expected 'YTID, start_seconds, end_seconds, \"label,label\"', not {', '.join(row)!r}; "
            "correct the line"
        ) from None
    labels = dict.fromkeys(mid.strip() for mid in mids.split(",") if mid.strip())
    for mid in labels:
        if mid not in names:
            raise SourceError(
                f"{table}:{line}: the label '{mid}' is no class of class_labels_indices.csv; correct either"
            )
    path, trimmed = _file_of(index.get(ytid, []), start=start)
    clip_id = f"{ytid}_{start:g}"
    return Clip(
        clip_id=clip_id,
        path=path,
        start_s=start,
        end_s=end,
        trimmed=trimmed,
        labels=tuple(names[mid] for mid in labels),
        split="eval" if "eval" in table.name else common.split_of(clip_id),
    )


def _file_of(candidates: Iterable[tuple[str, float | None]], *, start: float) -> tuple[str, bool]:
    """The file of a segment and whether it holds that alone; a file named with the start (s or ms) goes first."""
    bare = ""
    for file, named in candidates:
        if named is not None and (abs(named - start) < 0.01 or abs(named - 1000 * start) < 1.5):
            return file, True
        bare = bare or (file if named is None else "")
    return bare, False
