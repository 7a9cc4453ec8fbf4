"""Splits MP3 files that were joined, and corrects the number of frames that their tags give.

Encoders write the number of frames into the first frame, in a tag called Xing, Info or VBRI, and decoders stop there.
The number is wrong if the encoder did not finish, or if files were joined.
"""

import bisect
import dataclasses
import itertools

import numpy as np

from beam_jobs.audio import checks, mp3_frames
from beam_jobs.audio.sound import Content

_XING, _INFO, _VBRI = b"Xing", b"Info", b"VBRI"
_HEADER_BYTES = 4
_HAS_FRAMES = 1  # A flag of Xing and Info.
_XING_FRAMES_OFFSET = 8
_VBRI_FRAMES_OFFSET = 14


@dataclasses.dataclass(frozen=True, kw_only=True)
class _Tag:
    """A tag with the number of frames.

    Attributes:
        name: Xing, Info or VBRI.
        offset: Where it starts in its frame.
        count: The number of frames; None if it does not say.
    """

    name: bytes
    offset: int
    count: int | None


@dataclasses.dataclass(frozen=True, kw_only=True)
class Stream:
    """One of the files.

    Attributes:
        content: Its frames; its tag counts all of them.
        damaged_s: Where damage begins, in seconds; infinite if there is none.
    """

    content: bytes
    damaged_s: float


def streams(content: Content) -> list[Stream]:
    """Returns the streams of an MP3 file; none if it is no MP3, or a plain one, which decoders read right."""
    frames = mp3_frames.find(content)
    if frames is None or not frames.starts:
        return []
    total = len(frames.starts)
    tags = _tags(content, frames)
    bounds = sorted({0, *frames.changes, *tags, total})
    # The tag has a frame of its own, and that may be of another kind.
    parts = [(a, b) for a, b in itertools.pairwise(bounds) if b - a > (a in tags)]
    counts = {a: b - a - (a in tags) for a, b in parts}
    is_right = {a: a not in tags or _is_right(tags[a], counts[a], total=total, parts=len(parts)) for a, _ in parts}
    # A right tag that counts more frames than there are tells that the file was cut short.
    promised = {a: tags[a].count if a in tags and is_right[a] else 0 for a, _ in parts}
    damages = {a: _damage(content, frames, start=a, stop=b, promised=promised[a]) for a, b in parts}
    is_joined = len(parts) > 1 or any(gap.index < total for gap in frames.gaps)
    if not is_joined and all(is_right.values()) and set(damages.values()) == {np.inf}:
        return []
    result = []
    for start, stop in parts:
        data = _join(content, frames, start=start, stop=stop)
        if not is_right[start]:
            _correct(data, tags[start], counts[start], size=frames.forms[start].size)
        result.append(Stream(content=bytes(data), damaged_s=damages[start]))
    return result


def _tags(content: Content, frames: mp3_frames.Frames) -> dict[int, _Tag]:
    """Returns the tags by the index of their frame."""
    tags, starts = {}, frames.starts
    for name in (_XING, _INFO, _VBRI):
        position = content.find(name, starts[0])
        while position >= 0:
            index = bisect.bisect_right(starts, position) - 1
            offset = position - starts[index]
            is_mono = mp3_frames.is_mono(content, starts[index])
            if offset == _tag_offset(frames.forms[index], name, is_mono=is_mono):
                tags[index] = _Tag(name=name, offset=offset, count=_count(content, position, name))
            position = content.find(name, position + 1)
    return tags


def _tag_offset(form: mp3_frames.Form, name: bytes, *, is_mono: bool) -> int | None:
    """Returns where a tag would start in a frame: after the side information, which is empty."""
    if form.layer != 3:
        return None
    if name == _VBRI:
        return _HEADER_BYTES + 32
    return _HEADER_BYTES + ((17 if is_mono else 32) if form.version == 1 else (9 if is_mono else 17))


def _count(content: Content, position: int, name: bytes) -> int | None:
    if name == _VBRI:
        offset = _VBRI_FRAMES_OFFSET
    elif content[position + 7] & _HAS_FRAMES:
        offset = _XING_FRAMES_OFFSET
    else:
        return None
    return int.from_bytes(content[position + offset : position + offset + 4], "big")


def _is_right(tag: _Tag, count: int, *, total: int, parts: int) -> bool:
    """Whether a decoder may believe a tag, which may also count more frames than there are.

    Args:
        tag: The tag.
        count: How many frames there are.
        total: How many there are in all parts, with the tags.
        parts: How many parts there are.
    """
    counts_all_parts = parts > 1 and tag.count is not None and tag.count >= total - 2 * parts
    return tag.count is not None and tag.count >= count and not counts_all_parts


def _correct(frames: bytearray, tag: _Tag, count: int, *, size: int) -> None:
    """Writes the number of frames into a tag, in the first frame, of a given size."""
    number = count.to_bytes(4, "big")
    start = tag.offset + (_VBRI_FRAMES_OFFSET if tag.name == _VBRI else _XING_FRAMES_OFFSET)
    if tag.count is not None:
        frames[start : start + 4] = number
        return
    # The number goes before what follows. The end of the frame is empty, so its last bytes make room.
    frames[start:size] = number + frames[start : size - 4]
    frames[start - 1] |= _HAS_FRAMES


def _join(content: Content, frames: mp3_frames.Frames, *, start: int, stop: int) -> bytearray:
    """Returns the frames from `start` to `stop` without what lies between them."""
    data = bytearray()
    run = end = frames.starts[start]
    for at, form in zip(frames.starts[start:stop], frames.forms[start:stop], strict=True):
        if at != end:
            data += content[run:end]
            run = at
        end = at + form.size
    return data + content[run:end]


def _damage(content: Content, frames: mp3_frames.Frames, *, start: int, stop: int, promised: int) -> float:
    """Returns when the first damage begins in the frames from `start` to `stop`, in seconds; infinity if there is none.

    Bytes that are no frames are damage if they would hold sound that is missed, and so is an end before the number of
    frames that is promised.
    """
    form = frames.forms[start]
    frame_s = form.samples / form.rate
    byte_s = frame_s * (stop - start) / (frames.starts[stop - 1] - frames.starts[start] + form.size)
    gaps = [gap for gap in frames.gaps if start < gap.index <= stop and not gap.is_tag]
    inside = [gap for gap in gaps if gap.index < stop]
    if byte_s * sum(gap.size for gap in inside) > checks.CODEC_SLACK_S:
        return frame_s * (inside[0].index - start)
    length_s = frame_s * (stop - start)
    promised_s = max(length_s + byte_s * sum(gap.size for gap in gaps), frame_s * promised)
    return np.inf if checks.is_long_enough(length_s, promised_s=promised_s) else length_s
