"""Reads AudioSet: the official segment lists, and audio files named in any of the usual ways."""

import dataclasses
import functools
import itertools
import math
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence

from etils import epath

from beam_jobs.sources import csv_lists
from beam_jobs.sources.clips import Clip, Listing, SourceError, nonzero
from beam_jobs.sources.csv_lists import RowError
from beam_jobs.sources.files import stem
from beam_jobs.sources.splits import split_of

# YouTube's id of 11 characters, perhaps after a Y; then perhaps the start, and perhaps the end, in s or ms.
_SEGMENT_NAME = re.compile(r"^Y?([\w-]{11})(?:_(\d+(?:\.\d+)?))?(?:[_-](\d+(?:\.\d+)?))?$", re.ASCII)
CLASS_COLUMNS = ["index", "mid", "display_name"]
"""The first line of the list of the classes."""

_EVAL_LIST = re.compile(r"(?<![a-z])eval", re.IGNORECASE)
_TOLERANCE_S = 0.01
_TOLERANCE_MS = 1.5


def find_lists(tables: Sequence[str], ending: str = "_segments.csv") -> list[str]:
    """Returns the CSV files whose name has an ending: those at the top level, otherwise those one level below."""
    matching = [name for name in tables if name.endswith(ending)]
    at_top = [name for name in matching if "/" not in name]
    return at_top or [name for name in matching if name.count("/") == 1]


def list_clips(
    folder: epath.Path, audio: list[str], *, segment_lists: Sequence[str], class_lists: Sequence[str]
) -> Listing:
    """Lists the segments of the official lists.

    A list is the eval split if its name, or a word in it, begins with "eval", as in `Eval_segments.csv`.
    If several files match a segment, a file named with the segment's start is preferred to a file named after the
    recording alone. Among those, the first by name is taken. A file named after the recording alone that several
    segments need is the recording, because it cannot be trimmed to all of them.

    Args:
        folder: The source.
        audio: Its audio files, sorted and relative to it.
        segment_lists: The lists of segments, relative to it.
        class_lists: The lists of the classes, of which the first is read.

    Raises:
        SourceError: there is no list of segments, or no well-formed list of the classes.
    """
    lists = [folder / name for name in segment_lists]
    if not lists:
        raise SourceError(
            f"there is no *_segments.csv in {folder}, which the audioset layout needs; give the folder of the lists"
        )
    if not class_lists:
        raise SourceError(f"there is no class_labels_indices.csv in {folder}; put AudioSet's beside {lists[0].name}")
    class_names = _read_class_names(folder / class_lists[0])
    index = index_by_ytid(audio)
    parser = _RowParser(class_names, index)
    reader = csv_lists.RowReader()
    for table in lists:
        split = "eval" if _EVAL_LIST.search(table.name) else None
        reader.read(table, csv_lists.rows(table, comments=True), functools.partial(parser.parse, split=split))
    indexed = sum(len(files) for files in index.values())
    ignored = {
        "audio files not named after a segment": len(audio) - indexed,
        "audio files that no row of the lists needs": indexed - len(reader.files()),
    }
    return Listing(
        root=str(folder),
        clips=_cut_shared_recordings(reader),
        quarantined=reader.quarantined,
        label_names=tuple(class_names.values()),
        layout="audioset",
        ignored=nonzero(ignored),
    )


def index_by_ytid(files: Iterable[str]) -> dict[str, tuple[str, ...]]:
    """Maps each YouTube id to the files named after it, in the order given. Files with other names are skipped."""
    index: dict[str, tuple[str, ...]] = {}
    for file in files:
        if match := _SEGMENT_NAME.match(stem(file)):
            ytid = match[1]
            index[ytid] = (*index.get(ytid, ()), file)
    return index


def find_file(candidates: Iterable[str], *, start_s: float) -> tuple[str, bool | None]:
    """Chooses the file of a segment among the files of its recording.

    Args:
        candidates: Files named after the recording, see `index_by_ytid`.
        start_s: Start of the segment in the recording, in seconds.

    Returns:
        The file, or "" if there is none, and `Clip.trimmed`: True if the file is named with the segment's start,
        otherwise None.
    """
    untimed = ""
    for file in candidates:
        start = _SEGMENT_NAME.match(stem(file))[2]
        if start is None:
            untimed = untimed or file
        elif abs(float(start) - start_s) < _TOLERANCE_S or abs(float(start) - 1000 * start_s) < _TOLERANCE_MS:
            return file, True
    return untimed, None


def _cut_shared_recordings(reader: csv_lists.RowReader) -> list[Clip]:
    """Returns the clips, with `trimmed` False where several segments need one file that tells no start."""
    others = (row.clip for row in reader.quarantined if row.cause != "duplicate id")
    seen, shared = set(), set()
    for clip in itertools.chain(reader.clips, others):
        if clip.path and clip.trimmed is None:
            (shared if clip.path in seen else seen).add(clip.path)
    if not shared:
        return reader.clips
    return [
        dataclasses.replace(clip, trimmed=False) if clip.trimmed is None and clip.path in shared else clip
        for clip in reader.clips
    ]


class _RowParser:
    """Parses rows of the segment lists.

    Args:
        class_names: Class id ("mid") -> display name.
        index: See `index_by_ytid`.
    """

    def __init__(self, class_names: Mapping[str, str], index: Mapping[str, tuple[str, ...]]):
        self._class_names = class_names
        self._index = index
        # Two million rows hold few different values. The caches save time, and memory because rows share the results.
        self._seconds = functools.lru_cache(maxsize=2**16)(float)
        self._labels = functools.lru_cache(maxsize=2**16)(self._display_names)

    def parse(self, row: list[str], *, split: str | None) -> Clip:
        """Converts a row to a clip of the given split; None chooses the split by a hash of the recording's id."""
        try:
            ytid, start, end, mids = row
            start_s, end_s = self._seconds(start), self._seconds(end)
            if not 0 <= start_s < end_s < math.inf:
                raise ValueError
        except ValueError:
            raise RowError(
                f"expected 'YTID, start_seconds, end_seconds, \"label,label\"', not {', '.join(row)!r}; "
                "correct the line"
            ) from None
        ytid = ytid.strip()
        clip_id = f"{ytid}_{start_s:.10g}"
        path, trimmed = find_file(self._index.get(ytid, ()), start_s=start_s)
        labels = self._labels(mids)
        clip = Clip(
            clip_id=clip_id,
            path=path,
            start_s=start_s,
            end_s=end_s,
            trimmed=trimmed,
            labels=labels or (),
            split=split or split_of(ytid),
        )
        if labels is None:
            unknown = next(mid for mid in _split_mids(mids) if mid not in self._class_names)
            message = f"the label '{unknown}' is not a class of class_labels_indices.csv; correct the row or that list"
            raise RowError(message, cause="wrong label", clip=clip)
        return clip

    def _display_names(self, mids: str) -> tuple[str, ...] | None:
        """Converts comma-separated class ids to display names; None if one of them is unknown."""
        try:
            return tuple(self._class_names[mid] for mid in _split_mids(mids))
        except KeyError:
            return None


def _split_mids(mids: str) -> Iterator[str]:
    """Yields each of the comma-separated class ids once."""
    for mid in dict.fromkeys(map(str.strip, mids.split(","))):
        if mid:
            yield mid


def _read_class_names(table: epath.Path) -> dict[str, str]:
    """Reads `class_labels_indices.csv` as a mapping of class id ("mid") to display name, in index order."""
    names: dict[str, str] = {}
    rows = csv_lists.rows(table)
    csv_lists.header(rows)
    for line, cells in rows:
        row = [cell.strip() for cell in cells]
        if len(row) != 3 or not all(row) or row[0] != str(len(names)) or row[1] in names or row[2] in names.values():
            raise SourceError(
                f"{table}:{line}: expected '{len(names)},<mid>,<display name>', each given only once; "
                "put AudioSet's own file there"
            )
        names[row[1]] = row[2]
    if not names:
        raise SourceError(f"{table} lists no class; put AudioSet's own file there")
    return names
