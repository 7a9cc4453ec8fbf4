"""Tells which clips are parts of one recording."""

import re
from collections.abc import Iterable

import numpy as np

# How ingest names a segment of a recording ("path@3-7.5") and a part of a long one ("path@60.00").
_PART = re.compile(r"@\d+(\.\d+)?(-\d+(\.\d+)?)?$")


def recording_of(clip_id: str) -> str:
    """Returns the recording that a clip is a part of."""
    return _PART.sub("", clip_id)


def recording_numbers(clip_ids: Iterable[str]) -> np.ndarray:
    """Numbers the recordings in the order in which they come.

    Args:
        clip_ids: Names of clips.

    Returns:
        int (clips,), the number of each clip's recording, from 0.
    """
    numbers: dict[str, int] = {}
    return np.array([numbers.setdefault(recording_of(clip_id), len(numbers)) for clip_id in clip_ids], int)
