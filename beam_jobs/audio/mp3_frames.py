"""Finds the frames of an MP3 file without decoding them."""

import dataclasses
from typing import NamedTuple

from beam_jobs.audio import tags
from beam_jobs.audio.sound import Content

# Bit rates in kbit/s by MPEG version and layer; ISO 11172-3, section 2.4.2.3, and ISO 13818-3, section 2.4.2.3.
_KBITS = {
    (1, 1): (32, 64, 96, 128, 160, 192, 224, 256, 288, 320, 352, 384, 416, 448),
    (1, 2): (32, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320, 384),
    (1, 3): (32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320),
    (2, 1): (32, 48, 56, 64, 80, 96, 112, 128, 144, 160, 176, 192, 224, 256),
    (2, 2): (8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160),
    (2, 3): (8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160),
}
_HEADER_BYTES = 4
_MONO = 0xC0  # From here on, the fourth byte of a header means one channel.
# Three headers in a row that agree are no accident.
_FRAMES_TO_BE_SURE = 3
# Before the first frame there may be some rubbish.
_SEARCH_BYTES = 2**16
_ENDS_OF_TAGS = (b"APETAGEX", b"LYRICS200")
# Frames of free format have at most so many bytes.
_LONGEST_FREE = 2**12
_PADDING = 0x02  # A flag of the third byte: the frame has one byte more.
_KIND_BITS = 24
# A tag is looked for in so many bytes after the last frame.
_TAG_SEARCH_BYTES = 10


class Form(NamedTuple):
    """What the header of a frame says, except for the number of channels.

    Attributes:
        size: Bytes of the frame.
        samples: Samples of the frame.
        rate: Sample rate in Hz.
        version: 1, or 2 for MPEG-2 and 2.5.
        layer: 1, 2 or 3.
        kind: A number that all frames of the same rate, version and layer share; in free format, of the same size, too.
    """

    size: int
    samples: int
    rate: int
    version: int
    layer: int
    kind: int


class Gap(NamedTuple):
    """Bytes that are no frames.

    Attributes:
        index: How many frames come before.
        size: Number of bytes.
        is_tag: Whether they are tags, and no damage.
    """

    index: int
    size: int
    is_tag: bool


@dataclasses.dataclass(kw_only=True)
class Frames:
    """The frames of a file.

    Attributes:
        starts: Where each frame starts.
        forms: The form of each frame.
        changes: Indices of frames with another rate, layer or number of channels than the frame before.
        gaps: What lies between and after the frames.
    """

    starts: list[int]
    forms: list[Form]
    changes: list[int]
    gaps: list[Gap]


def form_at(content: Content | bytearray, start: int) -> Form | None:
    """Returns what the header of the frame at `start` says; None if no frame starts there."""
    if start + _HEADER_BYTES > len(content) or content[start] != 0xFF:
        return None
    return _FORMS.get(content[start + 1] << 8 | content[start + 2]) or _free_form(content, start)


def is_mono(content: Content, start: int) -> bool:
    """Whether the frame at `start` has one channel."""
    return content[start + 3] >= _MONO


def find(content: Content) -> Frames | None:
    """Returns the frames of an MP3 file, or None for other files."""
    start = 0
    while content[start : start + 3] == b"ID3":
        start = _end_of_tag(content, start)
    if start == 0 and content[:1] != b"\xff":
        return None
    start = _next_frame(content, start, until=start + _SEARCH_BYTES, sure=_FRAMES_TO_BE_SURE)
    return _walk(content, start) if start < len(content) else None


def _walk(content: Content, start: int) -> Frames:
    frames = Frames(starts=[], forms=[], changes=[], gaps=[])
    starts, forms = frames.starts, frames.forms
    kind = free = None
    end = len(content) - _HEADER_BYTES
    # This loop runs once for each frame of an hour, 140,000 times, so it does little.
    while start <= end:
        form = _FORMS.get(content[start + 1] << 8 | content[start + 2]) if content[start] == 0xFF else None
        if form is None and content[start] == 0xFF:
            form = free = _free_form(content, start, like=free)
        if form and (form.kind, content[start + 3] >= _MONO) != kind:
            if not _is_frame(content, start, sure=_FRAMES_TO_BE_SURE - 1):
                form = None
            else:
                if starts:
                    frames.changes.append(len(starts))
                kind = (form.kind, content[start + 3] >= _MONO)
        if form:
            starts.append(start)
            forms.append(form)
            start += form.size
        else:
            start = _pass_gap(content, start, frames)
    if starts and start > len(content):  # The last frame is incomplete.
        starts.pop()
        forms.pop()
    return frames


def _pass_gap(content: Content, start: int, frames: Frames) -> int:
    """Notes what lies between two frames, and returns where the next one starts."""
    # A tag may come in the middle of a frame, where a file was cut before another was appended.
    last = frames.starts[-1]
    until = start + _TAG_SEARCH_BYTES
    found = [at for tag in tags.BEGINNINGS if (at := content.find(tag, last, until)) >= 0]
    if found and min(found) < start:
        frames.starts.pop()
        frames.forms.pop()
    first = min(found, default=start)
    after = _next_frame(content, _end_of_tag(content, first), until=len(content), sure=_FRAMES_TO_BE_SURE - 1)
    is_tag = bool(found) or any(content.find(tag, first, after) >= 0 for tag in _ENDS_OF_TAGS)
    frames.gaps.append(Gap(index=len(frames.starts), size=after - first, is_tag=is_tag))
    return after


def _next_frame(content: Content, start: int, *, until: int, sure: int) -> int:
    """Returns where the next frame starts; the end of the content if there is none before `until`."""
    start = content.find(b"\xff", start, until)
    while start >= 0:
        if _is_frame(content, start, sure=sure):
            return start
        start = content.find(b"\xff", start + 1, until)
    return len(content)


def _is_frame(content: Content, start: int, *, sure: int) -> bool:
    """Whether `sure` frames of the same kind follow one another, unless a tag or the end comes before."""
    kind = None
    for _ in range(sure):
        if kind is not None and (start >= len(content) or content[start : start + 16].startswith(tags.BEGINNINGS)):
            return True
        form = form_at(content, start)
        if form is None or kind not in (None, (form.kind, is_mono(content, start))):
            return False
        kind = (form.kind, is_mono(content, start))
        start += form.size
    return True


def _free_form(content: Content, start: int, *, like: Form | None = None) -> Form | None:
    """Returns the form of a frame of free format; None if there is none.

    Its header gives no bit rate and so no size, which is that of the frames around it.

    Args:
        content: The file.
        start: Where the frame starts.
        like: The form of a frame before.
    """
    form = _free_without_size(content, start)
    if form is None:
        return None
    padding = _padding(content, start)
    if like is not None:
        size = (like.kind >> _KIND_BITS) + padding
        if start + size > len(content) - _HEADER_BYTES or _is_header_or_tag(content, start + size):
            return _with_size(form, size, padding=padding)
    sync, at = content[start : start + 2], start
    while (at := content.find(sync, at + 2, start + _LONGEST_FREE)) >= 0:
        after = at + at - start - padding + _padding(content, at)
        if _free_without_size(content, at) == form == _free_without_size(content, after):
            return _with_size(form, at - start, padding=padding)
    return None


def _free_without_size(content: Content, start: int) -> Form | None:
    if start + _HEADER_BYTES > len(content) or content[start] != 0xFF or content[start + 2] >> 4:
        return None
    # A frame with any bit rate, and without padding, is otherwise the same.
    form = _FORMS.get(content[start + 1] << 8 | (content[start + 2] & ~_PADDING) | 0x10)
    return form if form and form.layer > 1 else None


def _with_size(form: Form, size: int, *, padding: int) -> Form:
    return form._replace(size=size, kind=size - padding << _KIND_BITS | form.kind)


def _padding(content: Content, start: int) -> int:
    return int(bool(content[start + 2] & _PADDING))


def _is_header_or_tag(content: Content, start: int) -> bool:
    is_known = (content[start + 1] << 8 | content[start + 2]) in _FORMS and content[start] == 0xFF
    is_tag = content[start : start + _TAG_SEARCH_BYTES].startswith(tags.BEGINNINGS)
    return is_known or is_tag or _free_without_size(content, start) is not None


def _end_of_tag(content: Content, start: int) -> int:
    """Returns where the tag that starts at `start` ends, if it says how long it is; `start` for everything else."""
    return start + tags.size(content[start : start + tags.LONGEST_HEADER])


def _forms() -> dict[int, Form]:
    """Returns the form for each value of the second and third byte of a header."""
    forms = {}
    for key in range(0xE000, 0x10000):
        version = {3: 1, 2: 2, 0: 4}.get(key >> 11 & 3)
        layer = 4 - (key >> 9 & 3)
        bit_rate, rate = key >> 4 & 15, key >> 2 & 3
        if version is None or layer == 4 or not 0 < bit_rate < 15 or rate == 3:
            continue
        kbits = _KBITS[min(version, 2), layer][bit_rate - 1]
        hertz = (44100, 48000, 32000)[rate] // version
        samples = 384 if layer == 1 else 576 if layer == 3 and version > 1 else 1152
        padding = key >> 1 & 1
        slot = 4 if layer == 1 else 1
        size = (samples * 125 * kbits // (hertz * slot) + padding) * slot
        forms[key] = Form(size, samples, hertz, min(version, 2), layer, hertz << 2 | layer)
    return forms


_FORMS = _forms()
