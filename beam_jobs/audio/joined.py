"""Reads files that hold several files one after the other, such as chained Ogg, as one sound.

A decoder would stop at the end of the first, or take the next for more of the same. `parts` splits Ogg, MP3 and what
only FFmpeg reads. `headers` splits the rest, such as WAV, AIFF and FLAC, because it compares the sizes in their headers
anyway.
"""

import dataclasses
from collections.abc import Callable, Sequence

import numpy as np

from beam_jobs.audio import mp3, ogg, splitting
from beam_jobs.audio.sound import Content, DecodeError, Samples, Segment, Sound, Source, content_of


@dataclasses.dataclass(frozen=True, kw_only=True)
class Part:
    """One of the files.

    Attributes:
        content: Its bytes, or the path of the whole file.
        by_ffmpeg: Whether libsndfile would get its length wrong.
        damaged_s: Where damage begins, in seconds from the beginning of the part; infinite if there is none.
    """

    content: Source
    by_ffmpeg: bool = False
    damaged_s: float = np.inf


def parts(source: Source) -> list[Part]:
    """Returns the files that a file holds; none if the decoders read the file as it is."""
    with content_of(source) as content:
        if content[:4] == ogg.CAPTURE_PATTERN:
            links = ogg.starts_of_links(content)
            if len(links) > 1:
                return [_ogg_part(link, link) for link in _slices(content, links)]
            part = _ogg_part(content, source)
            return [part] if part.by_ffmpeg or part.damaged_s < np.inf else []
        if streams := mp3.streams(content):
            return [Part(content=stream.content, damaged_s=stream.damaged_s) for stream in streams]
        starts = splitting.starts(content)
        return [Part(content=piece) for piece in _slices(content, starts)] if len(starts) > 1 else []


def read(files: Sequence[Part], segment: Segment, *, decode: Callable[..., Sound]) -> Sound:
    """Reads a segment of the files as if they were one, at the highest of their rates.

    Args:
        files: The files in order.
        segment: What to read of the whole.
        decode: Reads one of the files from its beginning to the end of a segment.

    Raises:
        DecodeError: if one of the files that the segment needs is unreadable, truncated or damaged.
    """
    if len(files) == 1 and segment.needed_s <= files[0].damaged_s:
        return decode(files[0].content, segment, by_ffmpeg=files[0].by_ffmpeg)
    collected = Samples()
    codec, length_s = "", 0.0
    for part in files:
        left_s = segment.needed_s - length_s
        if left_s <= 0:
            break
        if left_s > part.damaged_s:
            raise DecodeError(
                "truncated", f"is damaged or breaks off {length_s + part.damaged_s:.2f} s after its beginning"
            )
        try:
            sound = decode(part.content, Segment(end_s=left_s), by_ffmpeg=part.by_ffmpeg)
        except DecodeError as error:
            if error.cause == "too short":  # Radio stations send empty links between two songs.
                continue
            raise
        collected.append(sound.samples, rate=sound.rate)
        codec = codec or sound.codec
        length_s += sound.samples.size / sound.rate
    if not collected:
        raise DecodeError("too short", "no sample")
    samples, rate = collected.join(), collected.rate
    start_s, end_s = segment.bounds(length_s)
    part = samples[round(start_s * rate) : round(end_s * rate)]
    return Sound(samples=part, rate=rate, codec=codec, start_s=start_s)


def _ogg_part(link: Content, source: Source) -> Part:
    return Part(content=source, by_ffmpeg=ogg.needs_ffmpeg(link), damaged_s=ogg.start_of_hole(link))


def _slices(content: Content, starts: Sequence[int]) -> list[bytes]:
    ends = [*starts[1:], len(content)]
    return [content[start:end] for start, end in zip(starts, ends, strict=True)]
