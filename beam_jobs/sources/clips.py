"""A clip, a list of them, and what the readers of the layouts share."""

import csv
import dataclasses
import hashlib
import os
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import NamedTuple

from etils import epath

from beam_jobs import storage

LAYOUTS = ("tfds", "manifest", "esc50", "audioset", "folder")
_VALID_SHARE = 0.05


class SourceError(ValueError):
    """What is wrong with a source, in one sentence that names the file and the way out."""


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class Clip:
    """One clip to store.

    Attributes:
        clip_id: Unique in its corpus.
        path: Its file, relative to the root of the listing or absolute; empty if there is none. With `record`, the
            split of the TFDS dataset.
        record: Its number in that split; None for a file.
        start_s: Where the clip begins in its recording, in seconds; None for the whole file.
        end_s: Where it ends.
        trimmed: True if the file holds this segment alone, False if it holds the recording that the segment is to be
            cut from, None if nothing tells: then the segment is cut from a file that is longer than it.
        labels: Display names of its classes.
        split: "train", "valid" or "eval".
        fold: Official cross-validation fold from 1; 0 for none.
    """

    clip_id: str
    path: str
    record: int | None = None
    start_s: float | None = None
    end_s: float | None = None
    trimmed: bool | None = None
    labels: tuple[str, ...] = ()
    split: str = "train"
    fold: int = 0


class Refused(NamedTuple):
    """A row of a list that cannot be read as a clip, or a file that cannot be named.

    Attributes:
        clip: As far as the row tells; its id is "<list>:<line>" if it does not even tell that.
        cause: "missing", "malformed row", "wrong label", "duplicate id", or "unreadable" for a file name that is not
            UTF-8.
        message: One sentence, which names list and line if the row is wrong by itself.
    """

    clip: Clip
    cause: str
    message: str


class RowError(ValueError):
    """What is wrong with one row of a list; cause and clip as in `Refused`, None for the id of the line."""

    def __init__(self, message: str, *, cause: str = "malformed row", clip: Clip | None = None):
        super().__init__(message)
        self.cause = cause
        self.clip = clip


@dataclasses.dataclass(frozen=True, kw_only=True)
class Listing:
    """What a source holds. Every row of its lists is either in `clips` or in `refused`.

    Attributes:
        root: The folder that the clips' paths are relative to.
        clips: The clips to read, in the order of the lists.
        refused: The rows that cannot be read as clips.
        label_names: Display names of all classes in index order; empty for unlabelled audio.
        layout: One of `LAYOUTS`.
        left_out: Reason -> how many files or records are no clip.
    """

    root: str
    clips: list[Clip]
    refused: list[Refused] = dataclasses.field(default_factory=list)
    label_names: tuple[str, ...] = ()
    layout: str
    left_out: Mapping[str, int] = dataclasses.field(default_factory=dict)


class Sorter:
    """Sorts the rows of lists into `clips` and `refused`, as in `Listing`."""

    def __init__(self):
        self.clips: list[Clip] = []
        self.refused: list[Refused] = []
        self._lines: dict[epath.Path, dict[str, int]] = {}

    def read(
        self, table: epath.Path, rows: Iterable[tuple[int, list[str]]], clip_of: Callable[[list[str]], Clip]
    ) -> None:
        """Reads the rows of one list; `clip_of` raises a RowError for one that cannot be a clip."""
        lines = self._lines.setdefault(table, {})
        for line, row in rows:
            try:
                clip = clip_of(row)
                self._check_is_new(clip)
            except RowError as error:
                clip = error.clip or Clip(clip_id=f"{table.name}:{line}", path="")
                self.refused.append(Refused(clip, error.cause, f"{table}:{line}: {error}"))
                continue
            lines[clip.clip_id] = line
            if clip.path:
                self.clips.append(clip)
            else:
                self.refused.append(Refused(clip, "missing", "no file for this row of the lists"))

    def files(self) -> set[str]:
        """The files that rows name, those of refused rows too."""
        return {clip.path for clip in (*self.clips, *(refused.clip for refused in self.refused))} - {""}

    def _check_is_new(self, clip: Clip) -> None:
        for table, lines in self._lines.items():
            if clip.clip_id in lines:
                message = f"'{clip.clip_id}' is in {table}:{lines[clip.clip_id]} already; remove one of the rows"
                raise RowError(message, cause="duplicate id", clip=clip)


def locate(root: epath.PathLike, path: str) -> epath.Path:
    """Where the file of a clip is: `path` by itself if that is absolute or a URL, else below `root`."""
    return epath.Path(path) if storage.is_remote(path) else epath.Path(root) / path


def split_of(clip_id: str) -> str:
    """Draws "train" (95 %) or "valid" by a hash of the id, so that adding clips moves none."""
    number = int.from_bytes(hashlib.blake2b(clip_id.encode(), digest_size=8).digest(), "big")
    return "valid" if number / 2**64 < _VALID_SHARE else "train"


def rows(table: epath.Path, *, comments: bool = False) -> Iterator[tuple[int, list[str]]]:
    """Streams (line number, cells) of a CSV without its empty lines; a line that is no CSV is one cell.

    Args:
        table: The file, in UTF-8.
        comments: Lines that begin with # are none of the rows.
    """
    with table.open("rb") as file:
        for number, raw in enumerate(file, start=1):
            try:
                line = raw.decode("utf-8-sig" if number == 1 else "utf-8").strip()
            except UnicodeDecodeError:
                raise SourceError(f"{table}:{number}: not UTF-8 text; save it as CSV in UTF-8") from None
            if not line or (comments and line.startswith("#")):
                continue
            try:
                # Line by line, so that a quote that is never closed spoils its own line only.
                cells = next(csv.reader((line,), skipinitialspace=True, strict=True))
            except csv.Error:
                cells = [line]
            yield number, [cell.strip() for cell in cells]


def stem(file: str) -> str:
    """File name without folders and suffix."""
    return os.path.splitext(file.rsplit("/", 1)[-1])[0]


def counted(reasons: Mapping[str, int]) -> dict[str, int]:
    """Only the reasons that occurred."""
    return {reason: count for reason, count in reasons.items() if count}
