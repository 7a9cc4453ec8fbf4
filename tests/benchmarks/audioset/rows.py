"""What was measured of each part, and what follows from it for numbers of clips that were not measured."""

from collections.abc import Callable, Mapping
from typing import NamedTuple

SIZES = (10_000, 100_000, 2_000_000)
"""The numbers of clips that are shown."""

PARTS = {
    "digest of the source": "digest of the source",
    "digest of the source, bucket": "digest of the source, bucket",
    "listing": "listing",
    "listing, bucket": "listing, bucket",
    "plan": "plan",
    "plan, bucket": "plan, bucket",
    "clips of a shard, read by a worker, bucket": "a worker reads its part of the plan, bucket",
    "shards": "sharding: decoding and writing",
    "shards, bucket": "the same into a bucket",
    "publishing": "publishing",
    "publishing, bucket": "publishing, bucket",
    "statistics: sums of clips": "statistics: sums of the clips",
    "statistics: merging": "statistics: merging the sums",
    "statistics: near duplicates": "statistics: near duplicates, on one machine",
    "validation": "validation of the statistics",
    "training input of a host: start": "training input of one of 32 hosts: first batch",
    "training input of a host: half-way": "the same, half-way through a pass",
    "reading the shards once, bucket": "reading all shards once, bucket",
    "evaluation: reading the clips": "evaluation: reading the clips",
    "evaluation: a pass of the probe": "evaluation: a pass of the probe",
}
"""Name of a part in the result -> what the page calls it, in the order of a run."""

_CONSTANT_MEMORY = ("shards", "shards, bucket", "statistics: sums of clips", "reading the shards once, bucket")
"""Parts that go through the clips shard by shard. Their memory on a sample is that on any number of clips."""


class Figure(NamedTuple):
    """A figure of a part.

    Attributes:
        value: The figure.
        is_measured: Whether it was measured with this number of clips, and not drawn as a line through others.
    """

    value: float
    is_measured: bool


def cpu_s(row: Mapping) -> float:
    """Seconds of a core."""
    return row["cpu_s"]


def wall_s(row: Mapping) -> float:
    """Seconds on the clock."""
    return row["wall_s"]


def grown_mib(row: Mapping) -> float:
    """By how much the part has raised the memory of its process."""
    return row["peak_mib"] - row["before_mib"]


def calls(row: Mapping) -> float:
    """Requests to a bucket, or operations on files and folders of this machine."""
    return sum(row.get("requests", row.get("operations", {})).values())


def transferred(row: Mapping) -> float:
    """Bytes from and to a bucket, or read and written on this machine."""
    kinds = ("bytes_received", "bytes_sent") if "requests" in row else ("bytes_read", "bytes_written")
    return sum(row[kind] for kind in kinds)


def figure(part: str, rows: Mapping[str, Mapping], clips: int, of: Callable[[Mapping], float]) -> Figure:
    """Returns a figure of a part.

    Args:
        part: Name of the part.
        rows: Number of clips, as text -> row; one at least.
        clips: The number of clips.
        of: `cpu_s` or another function of a row.

    Returns:
        What was measured with this number of clips. Otherwise the line through the two largest numbers that were
        measured, or through the origin if there is only one.
    """
    if str(clips) in rows:
        return Figure(of(rows[str(clips)]), True)
    sizes = sorted(map(int, rows))[-2:]
    values = [of(rows[str(size)]) for size in sizes]
    if of is grown_mib and part in _CONSTANT_MEMORY:
        return Figure(values[-1], False)
    if len(sizes) == 1:
        return Figure(values[0] * clips / sizes[0], False)
    slope = max(0.0, (values[1] - values[0]) / (sizes[1] - sizes[0]))
    return Figure(max(0.0, values[1] + slope * (clips - sizes[1])), False)
