"""Walks over the boxes of MP4 and QuickTime files. ISO/IEC 14496-12, section 4.2."""

from collections.abc import Iterator

from beam_jobs.audio.sound import Content, Source, content_of

_FIRST_BOXES = (b"ftyp", b"moov", b"mdat", b"free", b"skip", b"wide", b"pnot", b"styp")
_FILE = b"ftyp"
_FRAGMENT = b"moof"
_MEDIA = b"mdat"
_INDEX = b"moov"


def starts(content: Content) -> list[int]:
    """Returns where each file starts in a file that joins several, beginning with 0; nothing for other formats."""
    if content[4:8] not in _FIRST_BOXES:
        return []
    found = [0]
    has_media = False
    for kind, start, _ in _boxes(content):
        if kind == _FILE and has_media:
            found.append(start)
            has_media = False
        has_media |= kind in (_INDEX, _MEDIA)
    return found


def ends_inside_a_fragment(source: Source) -> bool:
    """Whether a file of fragments, whose header does not give a length, was cut short."""
    with content_of(source) as content:
        boxes = list(_boxes(content))
        kind, _, end = boxes[-1]
        has_fragments = any(kind == _FRAGMENT for kind, _, _ in boxes)
        is_zeros = not kind.strip(b"\0")  # A download that was not filled.
        return has_fragments and (is_zeros or (kind in (_FRAGMENT, _MEDIA) and end > len(content)))


def lacks_index(source: Source) -> bool:
    """Whether a file breaks off before its index is whole, because its download did or its recorder crashed."""
    with content_of(source) as content:
        if content[4:8] not in _FIRST_BOXES:
            return False
        is_whole = {kind: end <= len(content) for kind, _, end in _boxes(content) if kind in (_INDEX, _MEDIA)}
        return bool(is_whole) and not is_whole.get(_INDEX, False)


def _boxes(content: Content) -> Iterator[tuple[bytes, int, int]]:
    """Yields the kind of each box of the first level, where it starts and where it should end."""
    start = 0
    while start + 8 <= len(content):
        size, kind = int.from_bytes(content[start : start + 4], "big"), content[start + 4 : start + 8]
        if size == 1:
            size = int.from_bytes(content[start + 8 : start + 16], "big")
        if size < 8:  # 0: the box goes on to the end of the file. Others are no boxes.
            size = len(content) - start
        yield kind, start, start + size
        start += size
