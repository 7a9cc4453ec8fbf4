"""Cuts long recordings into parts of equal length."""

import itertools
import math
from typing import NamedTuple

from beam_jobs import sources

TOLERANCE = 0.01
"""A part may be longer than allowed by this share: encoders pad 10 s of sound to 10.03 s, which is no reason to cut."""


class Part(NamedTuple):
    """A part of a recording, or all of it.

    Attributes:
        clip_id: Its id: that of the clip, and where the part begins if there are several.
        start: Its first sample.
        end: The sample after its last one.
    """

    clip_id: str
    start: int
    end: int


def cut(clip: sources.Clip, *, samples: int, sample_rate: int, max_seconds: float | None) -> list[Part]:
    """Cuts a clip into as few equal parts as possible.

    Args:
        clip: The clip. A listed segment is never cut.
        samples: Its length.
        sample_rate: In Hz.
        max_seconds: Greatest length of a part, besides `TOLERANCE`; None cuts nothing.
    """
    parts = 1
    if clip.start_s is None and max_seconds is not None:
        parts = math.ceil(samples / ((1 + TOLERANCE) * max_seconds * sample_rate))
    if parts == 1:
        return [Part(clip.clip_id, 0, samples)]
    bounds = [samples * i // parts for i in range(parts + 1)]
    return [Part(f"{clip.clip_id}@{start / sample_rate:.2f}", start, end) for start, end in itertools.pairwise(bounds)]
