"""Reads a plain CSV manifest: `path[,start,end][,labels][,split][,fold]`."""

import functools
import math
import os
import pathlib
import re
from collections.abc import Iterator, Sequence

from absl import logging
from etils import epath

from beam_jobs import examples, storage
from beam_jobs.sources import csv_lists, label_cells
from beam_jobs.sources.clips import Clip, Listing, SourceError, locate
from beam_jobs.sources.csv_lists import RowError
from beam_jobs.sources.splits import split_of

NAME = "manifest.csv"
_COLUMNS = ("path", "start", "end", "labels", "split", "fold")
_INDEX = re.compile(r"(Unnamed: \d+)?")
"""Name of the column of row numbers that pandas writes before the others."""

_UNUSUAL = re.compile(r"^/|//|(^|/)\.{1,2}(/|$)")
"""Absolute paths, URLs, and paths with empty parts, dots or two dots."""

_BLANK = frozenset({"", "nan", "NaN", "NA", "N/A", "n/a", "<NA>", "None", "null", "NULL"})
"""What pandas, R and databases write where there is no value."""

_FOLD = re.compile(r"(-?\d{1,9})(\.0*)?")
"""A whole number. Spreadsheets and pandas write 1.0 where other cells of the column are empty."""


def is_manifest(table: epath.Path) -> bool:
    """Returns whether the file exists and has a column `path`; other programs also write lists of this name."""
    return table.exists() and "path" in csv_lists.header(csv_lists.rows(table))


def is_header(header: Sequence[str]) -> bool:
    """Returns whether a first line names the columns of a manifest and no others."""
    return "path" in header and all(column in _COLUMNS or _INDEX.fullmatch(column) for column in header)


def list_clips(table: epath.Path) -> Listing:
    """Lists the clips of a manifest.

    The first line names the columns, in any order. Only `path` is required:
        path: The file, absolute (or a URL) or relative to the manifest's folder. Ingest finds out whether it exists.
            Spaces around it belong to its name if the cell is quoted. No cell may hold a line break.
        start, end: The segment of the file that is the clip, in seconds; both are empty if the clip is the whole
            file. Rows with different segments of one file are different clips.
        labels: Names of classes, separated by `;`. In a cell without `;`, they are separated by `,` and the cell is
            quoted. A single name that contains a comma, or that is in brackets, ends with `;`. Lists that pandas has
            written are read, too; see `label_cells`. The classes are numbered in alphabetical order.
        split: "train", "valid" or "eval". If empty, a hash of the path chooses train (95 %) or valid (5 %).
        fold: Cross-validation fold, a whole number; empty if there is none. Folds that count from 0, or from less, are
            stored from 1 on, because 0 stands for none there.

    `nan` and the like are empty, and the column of row numbers that pandas writes is passed over. Rows that spell a
    file differently, such as `a.wav` and `./a.wav`, are the same clip.

    Raises:
        SourceError: there is no such file, or its header is malformed.
    """
    if not table.exists():
        raise SourceError(f"there is no {table}, which the manifest layout needs; give the folder of the manifest")
    rows = csv_lists.rows(table)
    header = csv_lists.header(rows)
    _check_header(table, header)
    root = str(table.parent)
    spellings = Spellings(root)
    reader = csv_lists.RowReader(spelling=functools.partial(_spelled_id, spellings))
    shift = _fold_shift(table, header)
    reader.read(table, rows, functools.partial(_parse_row, header, spellings=spellings, fold_shift=shift))
    label_names = tuple(sorted({name for clip in reader.clips for name in clip.labels}))
    has_column = "labels" in header
    why = f"no label is in the column labels of {table}" if has_column else f"{table} has no column labels"
    return Listing(
        root=root,
        clips=reader.clips,
        quarantined=reader.quarantined,
        label_names=label_names,
        layout="manifest",
        no_labels="" if label_names else f"no labels were found, because {why}",
        lists=(os.fspath(table),),
    )


class Spellings:
    """Gives one spelling for all spellings of a file's path: relative to a folder if it can be, without `./` and `..`.

    Args:
        root: The folder, that of a manifest.
    """

    def __init__(self, root: str):
        self._root = root
        self._is_remote = storage.is_remote(root)
        self._absolute_root = os.path.abspath(root)
        # A row asks several times, and the rows of a folder follow one another. Asking the disk takes far longer.
        self._of_unusual = functools.lru_cache(maxsize=2**10)(self._spell)
        self._of_folder = functools.lru_cache(maxsize=2**10)(self._spell_folder)

    def of(self, path: str) -> str:
        """Returns the one spelling of a path as the manifest names it."""
        return path if path.isascii() and not _UNUSUAL.search(path) else self._of_unusual(path)

    def _spell(self, path: str) -> str:
        is_url = storage.is_remote(path)
        if is_url or self._is_remote:
            return (path if is_url else os.fspath(pathlib.PurePosixPath(path))).removeprefix(f"{self._root}/")
        if ".." in path:
            folder, name = os.path.split(path)
            return os.path.normpath(os.path.join(self._of_folder(folder), name))
        place = os.path.join(self._root, path) if path.isascii() else os.fspath(locate(self._root, path))
        return os.path.abspath(place).removeprefix(f"{self._absolute_root}/")

    def _spell_folder(self, folder: str) -> str:
        # What `..` leads to depends on the links before it.
        return os.path.relpath(os.path.realpath(os.path.join(self._root, folder)), os.path.realpath(self._root))


def paths(table: epath.Path) -> Iterator[str]:
    """Yields the column `path` of a table, including the rows that are not well-formed; nothing without that column."""
    rows = csv_lists.rows(table)
    header = csv_lists.header(rows)
    if "path" not in header:
        return
    column = header.index("path")
    for _, cells in rows:
        if len(cells) > column:
            yield cells[column]


def _check_header(table: epath.Path, header: list[str]) -> None:
    unknown = [column for column in header if column not in _COLUMNS and not _INDEX.fullmatch(column)]
    if "path" not in header or len(set(header)) < len(header):
        raise SourceError(
            f"{table}:1: the first line must name the columns, 'path' among them and none twice, not "
            f"{', '.join(header)!r}; a manifest has path[,start,end][,labels][,split][,fold]"
        )
    if unknown:
        raise SourceError(
            f"{table}:1: unknown column '{unknown[0]}'; a manifest has path[,start,end][,labels][,split][,fold], so "
            "rename or remove it"
        )
    if ("start" in header) != ("end" in header):
        raise SourceError(f"{table}:1: the columns start and end go together; add the other one")


def _fold_shift(table: epath.Path, header: Sequence[str]) -> int:
    """Returns the number to add to each fold so that the lowest one is at least 1."""
    if "fold" not in header:
        return 0
    column = header.index("fold")
    matches = (_FOLD.fullmatch(row[column].strip()) for _, row in csv_lists.rows(table) if len(row) == len(header))
    lowest = min((int(match[1]) for match in matches if match), default=1)
    shift = csv_lists.fold_shift(lowest)
    if shift:
        logging.info("%s counts folds from %d: they are stored from 1 on", table, lowest)
    return shift


def _parse_row(header: Sequence[str], row: Sequence[str], *, spellings: Spellings, fold_shift: int) -> Clip:
    if len(row) != len(header):
        raise RowError(f"expected {','.join(header)}, not {', '.join(row)!r}; correct the line")
    cells = {name: cell if name == "path" else cell.strip() for name, cell in zip(header, row, strict=True)}
    path, split = cells["path"], _value(cells.get("split", ""))
    if path in _BLANK:
        raise RowError("the path is empty; give one or remove the line")
    if split not in ("", *examples.SPLITS):
        raise RowError(f"'{split}' is not a split; give one of {', '.join(examples.SPLITS)} or nothing")
    start_s, end_s = _parse_segment(cells.get("start", ""), cells.get("end", ""))
    return Clip(
        clip_id=_clip_id(path, start_s, end_s),
        path=path,
        start_s=start_s,
        end_s=end_s,
        trimmed=False,
        labels=label_cells.parse(cells.get("labels", "")),
        # All segments of a recording are in one split, so that validation hears no recording of the training.
        split=split or split_of(path if start_s is None else spellings.of(path)),
        fold=_parse_fold(_value(cells.get("fold", "")), shift=fold_shift),
    )


def _clip_id(path: str, start_s: float | None, end_s: float | None) -> str:
    return path if start_s is None else f"{path}@{start_s:.10g}-{end_s:.10g}"


def _spelled_id(spellings: Spellings, clip: Clip) -> str:
    path = spellings.of(clip.path)
    return clip.clip_id if path == clip.path else _clip_id(path, clip.start_s, clip.end_s)


def _value(cell: str) -> str:
    """Returns a cell, empty if it says that there is no value."""
    return "" if cell in _BLANK else cell


def _parse_fold(cell: str, *, shift: int) -> int:
    if not cell:
        return 0
    match = _FOLD.fullmatch(cell)
    if match is None:
        raise RowError(f"'{cell}' is not a fold; give a whole number or nothing")
    return int(match[1]) + shift


def _parse_segment(start: str, end: str) -> tuple[float, float] | tuple[None, None]:
    if start in _BLANK and end in _BLANK:
        return None, None
    try:
        start_s, end_s = float(start), float(end)
    except ValueError:
        start_s, end_s = math.nan, math.nan
    if not 0 <= start_s < end_s < math.inf:
        raise RowError(f"'{start}' to '{end}' is not a segment; give seconds with 0 <= start < end, or nothing in both")
    return start_s, end_s
