"""Reads ESC-50 as it is distributed (Piczak 2015): `meta/esc50.csv` and `audio/`."""

import dataclasses
import unicodedata
from collections.abc import Sequence

from etils import epath

from beam_jobs.sources import csv_lists
from beam_jobs.sources.clips import Clip, Listing, SourceError, has_line_break, nonzero
from beam_jobs.sources.csv_lists import RowError
from beam_jobs.sources.files import stem
from beam_jobs.sources.splits import split_of

TABLE = "meta/esc50.csv"
_COLUMNS = ("filename", "fold", "target", "category")


def has_columns(header: Sequence[str]) -> bool:
    """Returns whether a list has the columns of `meta/esc50.csv`."""
    return all(column in header for column in _COLUMNS)


def list_clips(folder: epath.Path, audio: list[str], *, table_name: str = TABLE) -> Listing:
    """Lists the clips of `meta/esc50.csv`.

    Files are matched by their stem, so converted copies of the audio work too. The classes are numbered in the order
    of their targets, so that a subset such as ESC-10 is a corpus too.

    Args:
        folder: The source.
        audio: Its audio files, sorted and relative to it.
        table_name: The list, relative to it, if it lies elsewhere or has another name.

    Raises:
        SourceError: there is no such list, or its header lacks a column.
    """
    table = folder / table_name
    if not table.exists():
        raise SourceError(f"there is no {table}, which the esc50 layout needs; give ESC-50's top folder")
    rows = csv_lists.rows(table)
    header = csv_lists.header(rows)
    if not has_columns(header):
        raise SourceError(
            f"{table}:1: the first line must name the columns {', '.join(_COLUMNS)}; put ESC-50's own file there"
        )
    parser = _RowParser(header, audio)
    reader = csv_lists.RowReader()
    reader.read(table, rows, parser.parse)
    shift = csv_lists.fold_shift(min((clip.fold for clip in reader.clips), default=1))
    return Listing(
        root=str(folder),
        clips=[dataclasses.replace(clip, fold=clip.fold + shift) for clip in reader.clips] if shift else reader.clips,
        quarantined=reader.quarantined,
        label_names=tuple(name for _, name in sorted(parser.categories.items())),
        layout="esc50",
        ignored=nonzero({f"audio files that no row of {table_name} needs": len(audio) - len(reader.files())}),
    )


class _RowParser:
    """Parses rows of the list.

    Attributes:
        categories: Target -> category, of the rows that have been parsed.
    """

    def __init__(self, header: list[str], audio: list[str]):
        self.categories: dict[int, str] = {}
        self._targets: dict[str, int] = {}
        self._header = header
        # Reversed, so that of several files with one stem the first by name is taken.
        self._files = {_clip_id(file): file for file in reversed(audio)}

    def parse(self, row: list[str]) -> Clip:
        try:
            cells = dict(zip(self._header, row, strict=True))
            fold, target = int(cells["fold"]), int(cells["target"])
        except ValueError:
            raise RowError(
                f"expected {', '.join(self._header)} with whole numbers for fold and target, not {', '.join(row)!r}; "
                "correct the line"
            ) from None
        clip_id, category = _clip_id(cells["filename"]), cells["category"].strip()
        if not category:
            raise RowError("the category is empty; give one or remove the line")
        if has_line_break(category):
            raise RowError(f"there is a line break in the category {category!r}; remove it")
        path = self._files.get(clip_id, "")
        clip = Clip(clip_id=clip_id, path=path, labels=(category,), split=split_of(clip_id), fold=fold)
        known_category = self.categories.get(target, category)
        known_target = self._targets.get(category, target)
        if (known_category, known_target) != (category, target):
            message = (
                f"class {target} is '{category}' here, and class {known_target} is '{known_category}' above; "
                "correct one of the rows"
            )
            raise RowError(message, cause="wrong label", clip=clip)
        self.categories[target] = category
        self._targets[category] = target
        return clip


def _clip_id(file: str) -> str:
    # macOS and other systems spell accented letters differently, so the list and the files may, too.
    return unicodedata.normalize("NFC", stem(file))
