"""AudioSet as people hold it: the official lists, and clips named in any of the usual ways."""

import functools
import math
import re
from collections.abc import Iterable, Mapping, Sequence

from etils import epath

from beam_jobs.sources import clips as common
from beam_jobs.sources.clips import Clip, Listing, RowError, SourceError

# 11 characters of YouTube's, perhaps after a Y, then start and end in s or ms.
_SEGMENT_NAME = re.compile(r"^Y?([\w-]{11})(?:_(\d+(?:\.\d+)?))?(?:[_-](\d+(?:\.\d+)?))?$", re.ASCII)


def find_lists(tables: Sequence[str], ending: str = "_segments.csv") -> list[str]:
    """Which CSV lists are of segments: those at the top or, if there are none, one level below."""
    named = [name for name in tables if name.endswith(ending)]
    return [name for name in named if "/" not in name] or [name for name in named if name.count("/") == 1]


def list_clips(folder: epath.Path, files: list[str], tables: Sequence[str]) -> Listing:
    """The official lists, and clips in the usual namings; a list with "eval" in its name is the eval split.

    Where several files can be a segment's, one named with its start goes before one named after the recording alone,
    and among those the first by name.

    Args:
        folder: The source.
        files: Its audio, relative to it.
        tables: Its CSV lists, relative to it.

    Raises:
        SourceError: if there is no list of segments, or no proper list of the classes.
    """
    lists = [folder / name for name in find_lists(tables)]
    if not lists:
        raise SourceError(
            f"there is no *_segments.csv in {folder}, which the audioset layout needs; give the folder of the lists"
        )
    classes = [folder / name for name in find_lists(tables, "class_labels_indices.csv")]
    if not classes:
        raise SourceError(f"there is no class_labels_indices.csv in {folder}; put AudioSet's beside {lists[0].name}")
    names = _class_names(classes[0])
    index = index_by_ytid(files)
    named = sum(map(len, index.values()))
    sorter = common.Sorter()
    rows = _Rows(names, index)
    for table in lists:
        official = "eval" if "eval" in table.name else None
        sorter.read(table, common.rows(table, comments=True), functools.partial(rows.clip, split=official))
    left_out = {
        "audio files not named after a segment": len(files) - named,
        "audio files that no row of the lists needs": named - len(sorter.files()),
    }
    return Listing(
        root=str(folder),
        clips=sorter.clips,
        refused=sorter.refused,
        label_names=tuple(names.values()),
        layout="audioset",
        left_out=common.counted(left_out),
    )


def index_by_ytid(files: Iterable[str]) -> dict[str, tuple[str, ...]]:
    """Maps the id of a recording to the files named after it, in the order given; other files are left out."""
    index: dict[str, tuple[str, ...]] = {}
    for file in files:
        if match := _SEGMENT_NAME.match(common.stem(file)):
            ytid = match[1]
            index[ytid] = (*index.get(ytid, ()), file)
    return index


def file_of(candidates: Iterable[str], *, start_s: float) -> tuple[str, bool | None]:
    """The file of a segment, and whether it holds that alone: True, or None if its name does not tell."""
    bare = ""
    for file in candidates:
        named = _SEGMENT_NAME.match(common.stem(file))[2]
        if named is None:
            bare = bare or file
        elif abs(float(named) - start_s) < 0.01 or abs(float(named) - 1000 * start_s) < 1.5:
            return file, True
    return bare, None


class _Rows:
    """Rows of the lists to clips."""

    def __init__(self, names: Mapping[str, str], index: Mapping[str, tuple[str, ...]]):
        self._names = names
        self._index = index
        # Few different values in many rows: kept once each, for speed and memory.
        self._seconds = functools.lru_cache(maxsize=2**16)(float)
        self._labels = functools.lru_cache(maxsize=2**16)(self._display_names)

    def clip(self, row: list[str], *, split: str | None) -> Clip:
        """The clip of one row, in a split or in that of its hash."""
        try:
            ytid, start, end, mids = row
            start, end = self._seconds(start), self._seconds(end)
            if not 0 <= start < end < math.inf:
                raise ValueError
        except ValueError:
            raise RowError(
                f"expected 'YTID, start_seconds, end_seconds, \"label,label\"', not {', '.join(row)!r}; "
                "correct the line"
            ) from None
        clip_id = f"{ytid}_{start:.10g}"
        path, trimmed = file_of(self._index.get(ytid, ()), start_s=start)
        unknown = None
        try:
            labels = self._labels(mids)
        except KeyError as error:
            labels, unknown = (), error
        clip = Clip(
            clip_id=clip_id,
            path=path,
            start_s=start,
            end_s=end,
            trimmed=trimmed,
            labels=labels,
            split=split or common.split_of(clip_id),
        )
        if unknown:
            message = f"the label {unknown} is no class of class_labels_indices.csv; correct either"
            raise RowError(message, cause="wrong label", clip=clip)
        return clip

    def _display_names(self, mids: str) -> tuple[str, ...]:
        """Of comma-separated class ids; a KeyError names one that is unknown."""
        return tuple(self._names[mid] for mid in dict.fromkeys(map(str.strip, mids.split(","))) if mid)


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
