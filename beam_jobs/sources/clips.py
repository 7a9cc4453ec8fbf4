"""Defines a clip, and the list of clips that every layout's reader returns."""

import dataclasses
import os
import re
import unicodedata
from collections.abc import Mapping
from typing import NamedTuple

from etils import epath

from beam_jobs import storage

LAYOUTS = ("tfds", "manifest", "esc50", "audioset", "folder", "class_folders")


class SourceError(ValueError):
    """A source cannot be listed. The message is one sentence that names the file and the way out."""


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class Clip:
    """One clip of a source.

    Attributes:
        clip_id: Unique in the corpus.
        path: The audio file, absolute or relative to `Listing.root`; empty if there is no file. For a record of a
            TFDS dataset, the name of its split.
        record: Index of the record in that split; None if the clip comes from a file.
        start_s: Start of the clip in its recording, in seconds; None if the clip is the whole file.
        end_s: End of the clip in its recording, in seconds; None if the clip is the whole file.
        trimmed: True if the file holds only this segment. False if the file holds the recording that the segment must
            be cut from. None if the listing cannot tell; the segment is then cut only from a file that is longer than
            the segment.
        labels: Display names of the clip's classes.
        split: "train", "valid" or "eval".
        fold: Official cross-validation fold, counted from 1; 0 if there is none.
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


class Quarantined(NamedTuple):
    """A row of a list, or a file, that is quarantined during listing because it does not describe a usable clip.

    Attributes:
        clip: What the row tells about the clip. If it does not even tell an id, the id is "<list>:<line>".
        cause: "missing", "malformed row", "wrong label", "duplicate id", or "unreadable" for a folder, link or pipe
            that cannot be read and for a file whose name is not UTF-8.
        message: One sentence. It names the list and the line if the row itself is wrong.
    """

    clip: Clip
    cause: str
    message: str


@dataclasses.dataclass(frozen=True, kw_only=True)
class Listing:
    """The content of a source. Every row of its lists is either in `clips` or in `quarantined`.

    Attributes:
        root: The folder that the clips' paths are relative to.
        clips: The clips to read, in the order of the lists.
        quarantined: The rows and files that are not usable clips.
        label_names: Display names of all classes in index order; empty for unlabeled audio.
        layout: One of `LAYOUTS`.
        ignored: Reason -> number of files or records that are not clips of this source.
        no_labels: If there are no labels, why, as half a sentence that says what was looked for.
        lists: Paths of the lists that were read.
    """

    root: str
    clips: list[Clip]
    quarantined: list[Quarantined] = dataclasses.field(default_factory=list)
    label_names: tuple[str, ...] = ()
    layout: str
    ignored: Mapping[str, int] = dataclasses.field(default_factory=dict)
    no_labels: str = ""
    lists: tuple[str, ...] = ()


def locate(root: epath.PathLike, path: str) -> epath.Path:
    """Returns the place of a clip's file: `path` itself if it is absolute or a URL, otherwise `path` below `root`.

    On this machine, the path may spell accented letters as one character (NFC) or as two (NFD, as macOS does): the
    spelling that exists is taken.
    """
    if storage.is_remote(path):
        return epath.Path(path)
    place = epath.Path(root) / path
    if path.isascii() or storage.is_remote(root) or os.path.exists(place):
        return place
    spellings = [epath.Path(root) / unicodedata.normalize(form, path) for form in ("NFC", "NFD")]
    return next(filter(os.path.exists, spellings), place)


def has_line_break(name: str) -> bool:
    """Returns whether the name of a class cannot be stored, because TFDS keeps the names as lines of a file."""
    return "\n" in name or "\r" in name


def nonzero(counts: Mapping[str, int]) -> dict[str, int]:
    """Returns the entries of `counts` that are not zero, for `Listing.ignored`."""
    return {reason: count for reason, count in counts.items() if count}


def describe(ignored: Mapping[str, int], *, most: int = 4) -> str:
    """Lists what is left out, most frequent first: "12 files that end in .txt, 3 files without a suffix".

    Args:
        ignored: See `Listing.ignored`.
        most: Number of reasons to name; the files of the others are added up.
    """
    ranked = sorted(ignored.items(), key=lambda item: -item[1])
    parts = [f"{count:,} {_singular(reason) if count == 1 else reason}" for reason, count in ranked[:most]]
    if ranked[most:]:
        parts.append(f"{sum(count for _, count in ranked[most:]):,} others")
    return ", ".join(parts)


def _singular(reason: str) -> str:
    return re.sub(r"\b(file|folder|list|record)s\b", r"\1", reason, count=1).replace(
        "file that end ", "file that ends "
    )
