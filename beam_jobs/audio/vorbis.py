"""Counts the samples in packets of Vorbis without decoding them.

Vorbis I specification, sections 4.2 and 4.3: a packet is a long or a short block, depending on its mode, and overlaps
half of the one before.
"""

import itertools
from collections.abc import Sequence

IDENTIFICATION = b"\x01vorbis"
"""What the first packet of a stream begins with."""

_IDENTIFICATION_BYTES = 30

HEADERS = 3
"""How many packets come before those of sound."""

_MODE_BITS = 41  # A mode: 1 bit for the size of its blocks, 32 that are zero, 8 for its mapping.


def is_stream(packets: Sequence[bytes]) -> bool:
    """Returns whether the packets of a stream begin as those of Vorbis do."""
    return bool(packets) and packets[0].startswith(IDENTIFICATION) and len(packets[0]) >= _IDENTIFICATION_BYTES


def count_samples(packets: Sequence[bytes]) -> int:
    """Returns how many samples the packets of a stream decode to.

    Args:
        packets: The three headers and at least one packet of sound.
    """
    sizes = (1 << (packets[0][28] & 15), 1 << (packets[0][28] >> 4))
    modes = _modes(packets[2])
    mode_bits = (len(modes) - 1).bit_length()
    blocks = []
    for packet in packets[HEADERS:]:
        if packet and not packet[0] & 1:  # Others are no sound.
            mode = packet[0] >> 1 & ((1 << mode_bits) - 1)
            blocks.append(sizes[modes[mode]] if mode < len(modes) else sizes[0])
    return sum((before + after) // 4 for before, after in itertools.pairwise(blocks))


def _modes(setup: bytes) -> list[int]:
    """Returns for each mode whether its blocks are long (1) or short (0).

    The modes are the last entries of the setup header. They are found from its end, as FFmpeg finds them, because the
    way to them from the beginning leads through all codebooks.
    """
    bits = int.from_bytes(setup, "little")
    end = bits.bit_length() - 1  # Where the framing bit is, the last that is set.
    flags: list[int] = []
    modes: list[int] = []
    while end >= _MODE_BITS and len(flags) < 64:
        end -= _MODE_BITS
        mode = bits >> end & ((1 << _MODE_BITS) - 1)
        if mode >> 1 & 0xFFFFFFFF or mode >> 33 > 63:
            break
        flags.insert(0, mode & 1)
        if (bits >> end - 6 & 63) + 1 == len(flags):
            modes = flags.copy()
    return modes
