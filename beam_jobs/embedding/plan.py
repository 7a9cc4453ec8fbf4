"""Decides which embedder embeds which clips of which file of examples, before any audio is read."""

import dataclasses
from collections.abc import Iterator, Mapping

import numpy as np

from beam_jobs.examples import sampling
from beam_jobs.examples.info import ExamplesInfo


@dataclasses.dataclass(frozen=True, kw_only=True)
class Shard:
    """One file to write: what an embedder makes of one file of examples.

    Attributes:
        embedder: Name of the embedder.
        split: "train", "valid" or "eval".
        shard: Number of this file among those of the embedder and the split, from 0.
        shards: Number of those files.
        examples: Path of the file of examples.
        stored: Number of clips in that file.
        numbers: Numbers in the split of the clips to embed; None for all clips of the file.
    """

    embedder: str
    split: str
    shard: int
    shards: int
    examples: str
    stored: int
    numbers: tuple[int, ...] | None = None

    @property
    def file(self) -> str:
        return f"{self.split}-{self.shard:05d}-of-{self.shards:05d}.parquet"

    @property
    def clips(self) -> int:
        """Number of clips to embed."""
        return self.stored if self.numbers is None else len(self.numbers)


def plan_shards(info: ExamplesInfo, limits: Mapping[str, int | None]) -> list[Shard]:
    """Returns what to write, embedder by embedder.

    An embedder that does not embed all clips of a split embeds a sample, which is always the same. Of two embedders,
    the one with the lower limit embeds a part of the other's clips. Files of examples without a clip of the sample are
    not read.

    Args:
        info: The examples.
        limits: Name of the embedder -> maximum number of clips of each split; None embeds all.
    """
    largest = max((limit for limit in limits.values() if limit is not None), default=0)
    orders = {split: sampling.drawing_order(info, split, count=largest, seed=0) for split in info.splits if largest}
    planned = []
    for embedder, limit in limits.items():
        for split, clips in info.splits.items():
            drawn = None if limit is None or limit >= clips else orders[split][:limit]
            planned += _shards(info, split, embedder=embedder, drawn=drawn)
    return planned


def _shards(info: ExamplesInfo, split: str, *, embedder: str, drawn: np.ndarray | None) -> list[Shard]:
    files = list(_files(info, split, drawn))
    return [
        Shard(
            embedder=embedder,
            split=split,
            shard=index,
            shards=len(files),
            examples=path,
            stored=stored,
            numbers=numbers,
        )
        for index, (path, stored, numbers) in enumerate(files)
    ]


def _files(
    info: ExamplesInfo, split: str, drawn: np.ndarray | None
) -> Iterator[tuple[str, int, tuple[int, ...] | None]]:
    """Yields path and number of clips of each file to read, and the numbers of the drawn ones; None for all."""
    numbers = np.arange(info.splits[split]) if drawn is None else np.sort(drawn)
    start = 0
    for path, stored in zip(info.files(split), info.shard_lengths[split], strict=True):
        first, last = np.searchsorted(numbers, (start, start + stored))
        if last > first:
            yield path, stored, None if drawn is None else tuple(numbers[first:last].tolist())
        start += stored
