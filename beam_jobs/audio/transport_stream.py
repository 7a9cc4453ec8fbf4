"""Finds where MPEG transport streams (`.ts`, `.m2ts`) were joined that number their tracks differently.

FFmpeg goes on with the numbers of the first. ISO/IEC 13818-1, sections 2.4.3 and 2.4.4.
"""

from collections.abc import Iterator

import numpy as np

from beam_jobs.audio.sound import Content

_SYNC = b"G"
_BYTES = 188
# Bytes from packet to packet -> those before the sync byte: plain packets; those on Blu-ray discs, with a time stamp;
# those of broadcasts, with a checksum at their end.
_STRIDES = {_BYTES: 0, 192: 4, 204: 0}
_PACKETS_TO_BE_SURE = 8
# The number of the packets that say which packets list the tracks of a program.
_PROGRAMS = 0


def starts(content: Content) -> list[int]:
    """Returns where each stream starts, beginning with 0; nothing for other formats."""
    stride = next((stride for stride in _STRIDES if _are_packets(content, 0, stride)), None)
    if stride is None:
        return []
    result = [0]
    start_of_tables = 0
    tables: dict[int, set[bytes]] = {}
    for start, number, packet in _tables(content, stride):
        if number == _PROGRAMS:
            start_of_tables = start
        entries = _entries(number, packet)
        if tables.setdefault(number, entries) != entries:
            result.append(start_of_tables)
            tables = {number: entries}
    return sorted(set(result))


def _are_packets(content: Content, start: int, stride: int) -> bool:
    first = start + _STRIDES[stride]
    syncs = content[first : first + _PACKETS_TO_BE_SURE * stride : stride]
    return len(syncs) > 1 and syncs == _SYNC * len(syncs)


def _tables(content: Content, stride: int) -> Iterator[tuple[int, int, bytes]]:
    """Yields the packets that start a table: where they start, their number and content."""
    data = np.frombuffer(content, np.uint8)
    for start, count in _runs(content, data, stride):
        first = start + _STRIDES[stride]
        high, low = (data[first + i :: stride][:count] for i in (1, 2))
        numbers = np.where(high & 0x40 > 0, (high & 0x1F).astype(np.int32) << 8 | low, -1)

        def packet(index: int, first: int = first) -> bytes:
            return content[first + index * stride : first + index * stride + _BYTES]

        lists = {
            int.from_bytes(entry[2:4], "big") & 0x1FFF
            for index in np.flatnonzero(numbers == _PROGRAMS).tolist()
            for entry in _entries(_PROGRAMS, packet(index))
        }
        for index in np.flatnonzero(np.isin(numbers, [_PROGRAMS, *lists])).tolist():
            yield start + index * stride, int(numbers[index]), packet(index)


def _runs(content: Content, data: np.ndarray, stride: int) -> Iterator[tuple[int, int]]:
    """Yields where packets in step start, and how many there are.

    Where a stream was cut before another was appended, the packets get out of step.
    """
    start = 0
    while start < len(content):
        syncs = data[start + _STRIDES[stride] :: stride]
        wrong = np.flatnonzero(syncs != _SYNC[0])
        count = int(wrong[0]) if wrong.size else syncs.size
        # The last packet may be incomplete.
        yield start, min(count, (len(content) - start - _STRIDES[stride]) // stride)
        start += max(1, (count - 1) * stride + 1)
        while 0 <= start < len(content) and not _are_packets(content, start, stride):
            sync = content.find(_SYNC, start + _STRIDES[stride] + 1)
            start = sync - _STRIDES[stride] if sync >= 0 else len(content)


def _entries(number: int, packet: bytes) -> set[bytes]:
    """Returns the entries of a table: the programs and their numbers, or the types of the tracks and their numbers."""
    position = 4
    if packet[3] & 0x20:  # An adaptation field comes first.
        position += 1 + packet[4]
    position += 1 + packet[position] if position < _BYTES else 0  # A pointer to the start of the table.
    if position + 12 > _BYTES:
        return set()
    end = min(_BYTES, position + 3 + (int.from_bytes(packet[position + 1 : position + 3], "big") & 0xFFF) - 4)
    if number == _PROGRAMS:
        return {packet[i : i + 4] for i in range(position + 8, end - 3, 4) if packet[i : i + 2] != bytes(2)}
    position += 12 + (int.from_bytes(packet[position + 10 : position + 12], "big") & 0xFFF)
    entries = set()
    while position + 5 <= end:
        # Its type, and its number without three bits that are reserved.
        entries.add(bytes([packet[position], packet[position + 1] & 0x1F, packet[position + 2]]))
        position += 5 + (int.from_bytes(packet[position + 3 : position + 5], "big") & 0xFFF)
    return entries
