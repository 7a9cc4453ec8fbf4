"""A clip, a list of them, and what the readers of the layouts share."""

import csv
import dataclasses
import hashlib
import os
from collections.abc import Iterator, Mapping

from etils import epath

LAYOUTS = ("audioset", "esc50", "folder")
_VALID_SHARE = 0.05


class SourceError(ValueError):
    """What is wrong with a source, in one sentence that names the file and the way out."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Clip:
    """One clip to store.

    Attributes:
        clip_id: Unique in its corpus.
        path: Its file, relative to the source; empty if there is none.
        start_s: Where the clip begins in its recording, in seconds; None for the whole file.
        end_s: Where it ends.
        trimmed: The file's name says that it holds this segment alone. Otherwise the segment is cut out of the
            file if that is longer than the segment.
        labels: Display names of its classes.
        split: "train", "valid" or "eval".
        fold: Official cross-validation fold from 1; 0 for none.
    """

    clip_id: str
    path: str
    start_s: float | None = None
    end_s: float | None = None
    trimmed: bool = False
    labels: tuple[str, ...] = ()
    split: str = "train"
    fold: int = 0


@dataclasses.dataclass(frozen=True, kw_only=True)
class Listing:
    """What a source holds.

    Attributes:
        clips: The clips that have a file, in the order of the lists.
        missing: The clips that a list names and no file was found for.
        label_names: Display names of all classes in index order; empty for unlabelled audio.
        layout: One of `LAYOUTS`.
        left_out: Reason -> how many files or rows are no clip.
    """

    clips: list[Clip]
    missing: list[Clip] = dataclasses.field(default_factory=list)
    label_names: tuple[str, ...] = ()
    layout: str
    left_out: Mapping[str, int] = dataclasses.field(default_factory=dict)


def split_of(clip_id: str) -> str:
    """Draws "train" (95 %) or "valid" by a hash of the id, so that adding clips moves none."""
    number = int.from_bytes(hashlib.blake2b(clip_id.encode(), digest_size=8).digest(), "big")
    return "valid" if number / 2**64 < _VALID_SHARE else "train"


def rows(table: epath.Path) -> Iterator[tuple[int, list[str]]]:
    """(line number, cells) of a CSV without its comments and empty lines."""
    try:
        lines = table.read_text(encoding="utf-8-sig").splitlines()
    except UnicodeDecodeError:
        raise SourceError(f"{table} is not UTF-8 text; save it as CSV in UTF-8") from None
    for number, line in enumerate(lines, start=1):
        if line.strip() and not line.startswith("#"):
            try:
                cells = next(csv.reader([line], skipinitialspace=True))
            except csv.Error as error:
                raise SourceError(f"{table}:{number}: not a line of CSV: {error}; correct the line") from None
            yield number, [cell.strip() for cell in cells]


def stem(file: str) -> str:
    """File name without folders and suffix."""
    return os.path.splitext(file.rsplit("/", 1)[-1])[0]


def counted(reasons: Mapping[str, int]) -> dict[str, int]:
    """Only the reasons that occurred."""
    return {reason: count for reason, count in reasons.items() if count}
