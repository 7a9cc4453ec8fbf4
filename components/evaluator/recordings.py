"""Tells which clips are parts of one recording, by their names."""

import posixpath
import re
from collections.abc import Iterable

import numpy as np

# How ingest names a segment of a recording ("path@3-7.5") and a part of a long one ("path@60.00").
_PART = re.compile(r"@\d+(\.\d+)?(-\d+(\.\d+)?)?$")
# AudioSet's segments: the YouTube id of the video, which may have several, and the start of the segment in seconds.
_SEGMENT = re.compile(r"([\w-]{11})_\d+(\.\d+)?", re.ASCII)

_UNUSUAL = re.compile(r"(^|/)\.{1,2}/|//")


def whole_clip(clip_id: str) -> str:
    """Returns the clip that ingest has cut into parts, or the file of a segment, as its list spells it."""
    return _PART.sub("", clip_id)


def recording_of(clip_id: str) -> str:
    """Returns the recording that a clip is a part of.

    It is the same for all spellings of a file's path, such as `a.wav` and `./a.wav`, and for all segments of a video.
    Takes of one sound in files of their own, as ESC-50 has, are recordings of their own.
    """
    name = whole_clip(clip_id)
    segment = _SEGMENT.fullmatch(name)
    if segment:
        return segment[1]
    scheme, separator, path = name.rpartition("://")
    return scheme + separator + (posixpath.normpath(path) if _UNUSUAL.search(path) else path)


def recording_numbers(clip_ids: Iterable[str]) -> np.ndarray:
    """Numbers the recordings in the order in which they come.

    Args:
        clip_ids: Names of clips.

    Returns:
        int (clips,), the number of each clip's recording, from 0.
    """
    numbers: dict[str, int] = {}
    return np.array([numbers.setdefault(recording_of(clip_id), len(numbers)) for clip_id in clip_ids], int)
