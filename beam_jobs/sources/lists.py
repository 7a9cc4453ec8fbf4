"""Finds the lists of clips among the CSV files of a folder: by their usual names, otherwise by their first lines."""

import itertools
import re
from collections import defaultdict
from collections.abc import Sequence
from typing import NamedTuple

from etils import epath

from beam_jobs.sources import audioset, csv_lists, esc50, manifest
from beam_jobs.sources.clips import SourceError

_MOST_OPENED = 100
"""So many CSV files are looked into, those of the upper folders first. Some corpora have one beside each recording."""

_FIRST_ROWS = 10
_YTID = re.compile(r"[\w-]{11}", re.ASCII)
_SECONDS = re.compile(r"\d+(\.\d+)?", re.ASCII)


class Lists(NamedTuple):
    """The lists of each kind, relative to the source. Those known by their first lines are of the uppermost folders.

    Attributes:
        esc50: Lists of ESC-50's clips.
        segments: AudioSet's lists of segments.
        classes: AudioSet's lists of the classes.
        manifests: Lists with the columns of a manifest that are not read as one: they have another name or place, or
            begin with a comment.
    """

    esc50: Sequence[str]
    segments: Sequence[str]
    classes: Sequence[str]
    manifests: Sequence[str] = ()


def find(folder: epath.Path, tables: Sequence[str]) -> Lists:
    """Finds the lists of a source.

    Args:
        folder: The source.
        tables: Its CSV files, relative to it.
    """
    named = Lists(
        esc50=[name for name in tables if name == esc50.TABLE],
        segments=audioset.find_lists(tables),
        classes=audioset.find_lists(tables, "class_labels_indices.csv"),
    )
    if named.esc50 or (named.segments and named.classes):
        return named
    opened = _by_first_lines(folder, tables)
    return Lists(
        esc50=[] if named.segments else opened["esc50"],
        segments=named.segments or opened["segments"],
        classes=named.classes or opened["classes"],
        manifests=opened["manifest"],
    )


def columns(table: epath.Path) -> list[str]:
    """Returns the cells of the first row of a CSV file; none if it cannot be read."""
    try:
        return csv_lists.header(csv_lists.rows(table, comments=True))
    except (OSError, SourceError):
        return []


def _by_first_lines(folder: epath.Path, tables: Sequence[str]) -> defaultdict[str, list[str]]:
    """Returns kind -> the lists of this kind that are in the uppermost folders, by name."""
    kinds: defaultdict[str, list[str]] = defaultdict(list)
    for name in sorted(tables, key=lambda name: (name.count("/"), name))[:_MOST_OPENED]:
        of_kind = kinds[_kind(folder / name)]
        if not of_kind or of_kind[0].count("/") == name.count("/"):
            of_kind.append(name)
    return kinds


def _kind(table: epath.Path) -> str:
    """Returns the kind of a list, or "" for another CSV file and for one that cannot be read."""
    try:
        first = [row for _, row in itertools.islice(csv_lists.rows(table, comments=True), _FIRST_ROWS)]
    except (OSError, SourceError):
        return ""
    header = first[0] if first else []
    if esc50.has_columns(header):
        return "esc50"
    if header == audioset.CLASS_COLUMNS:
        return "classes"
    if first and all(map(_is_segment, first)):
        return "segments"
    decides_clips = "labels" in header or table.name == manifest.NAME
    return "manifest" if decides_clips and manifest.is_header(header) else ""


def _is_segment(row: Sequence[str]) -> bool:
    """Returns whether a row is one of AudioSet's: `--PJHxphWEs, 30.000, 40.000, "/m/09x0r,/t/dd00088"`."""
    if len(row) != 4:
        return False
    ytid, start, end, mids = row
    return bool(_YTID.fullmatch(ytid) and _SECONDS.fullmatch(start) and _SECONDS.fullmatch(end) and mids[:1] == "/")
