"""Divides what is embedded into groups. A command that was stopped continues with the first unfinished one.

The bytes of the result must not depend on where it was stopped. So groups follow from the sizes of the files alone, and
a batch never holds windows of two groups.
"""

from collections.abc import Iterable, Iterator

MOST_CLIPS = 512
MOST_BYTES = 2**26
"""More than one clip is never as large together: 6 minutes of CD sound, 35 minutes of mono at 16 kHz."""


def split(sizes: Iterable[int]) -> Iterator[tuple[int, int]]:
    """Divides clips in order; a clip that is larger than a group may be is one of its own.

    Args:
        sizes: Size of each clip in bytes.

    Yields:
        The number of the first clip of each group, and that after its last.
    """
    first, stop, total = 0, 0, 0
    for size in sizes:
        if stop > first and (stop - first == MOST_CLIPS or total + size > MOST_BYTES):
            yield first, stop
            first, total = stop, 0
        stop, total = stop + 1, total + size
    if stop > first:
        yield first, stop
