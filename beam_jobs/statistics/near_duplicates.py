"""Finds near duplicates between splits: pairs of clips that share enough keys of their fingerprints.

Only keys and clip ids cross the shuffle, never audio.
"""

import itertools
from collections.abc import Iterable, Iterator
from typing import TypedDict

import apache_beam as beam

from beam_jobs.statistics.fingerprints import SHARED_KEYS

BUCKET_CLIPS = 16
"""Number of clips of each split that are compared for one key."""

# (split, clip id)
Member = tuple[str, str]
# (split, other split), in alphabetical order
SplitPair = tuple[str, str]
# (clip id, clip id in the other split, number of shared keys)
ClipPair = tuple[str, str, int]
# Split -> sorted clip ids
ClipIds = dict[str, list[str]]


class CrossSplitFigures(TypedDict):
    """Near duplicates between two splits.

    Attributes:
        pairs: Number of pairs of clips, one of each split, that share at least `fingerprints.SHARED_KEYS` keys.
        clips: Split -> number of its clips that are in such a pair.
        listed: The first pairs in alphabetical order: [clip id, clip id in the other split, number of shared keys].
    """

    pairs: int
    clips: dict[str, int]
    listed: list[list[str | int]]


class CrossSplitPairs(beam.PTransform):
    """Finds the near duplicates between every two splits.

    Takes `(key, (split, clip id))` for every key of every clip. Gives `(SplitPair, CrossSplitFigures)` for every two
    splits that have near duplicates.

    A key that many clips share (e.g. of a jingle or a test tone) is compared only for the first `BUCKET_CLIPS` clips of
    each split, so that no key becomes a hot key. The remaining pairs of that key are not counted.

    Args:
        listed: Number of pairs to list for every two splits.
    """

    def __init__(self, *, listed: int):
        super().__init__()
        self._listed = listed

    def expand(self, keyed: beam.PCollection[tuple[int, Member]]) -> beam.PCollection:
        pairs = (
            keyed
            | "Bucket" >> beam.CombinePerKey(_FirstOfEachSplit())
            | "Pair" >> beam.FlatMap(_pairs)
            | "Count shared keys" >> beam.CombinePerKey(sum)
            | "Enough" >> beam.Filter(_shares_enough)
            | "By splits" >> beam.Map(_by_splits)
        )
        figures = {
            "pairs": pairs | "Count pairs" >> beam.combiners.Count.PerKey(),
            "listed": pairs | "First pairs" >> beam.combiners.Top.SmallestPerKey(self._listed),
        }
        for side in (0, 1):
            figures[f"clips{side}"] = (
                pairs
                | f"Ids {side}" >> beam.Map(_id_of, side=side)
                | f"Distinct {side}" >> beam.Distinct()
                | f"Count clips {side}" >> beam.combiners.Count.PerKey()
            )
        return figures | beam.CoGroupByKey() | "Figures" >> beam.Map(_figures)


class _FirstOfEachSplit(beam.CombineFn):
    """Keeps the first `BUCKET_CLIPS` clip ids of each split in alphabetical order, whatever the order of merging."""

    def create_accumulator(self) -> ClipIds:
        return {}

    def add_input(self, first: ClipIds, member: Member) -> ClipIds:
        split, clip_id = member
        first[split] = _first([*first.get(split, ()), clip_id])
        return first

    def merge_accumulators(self, parts: Iterable[ClipIds]) -> ClipIds:
        merged: ClipIds = {}
        for part in parts:
            for split, ids in part.items():
                merged[split] = _first([*merged.get(split, ()), *ids])
        return merged

    def extract_output(self, first: ClipIds) -> ClipIds:
        return first


def _first(ids: list[str]) -> list[str]:
    return sorted(ids)[:BUCKET_CLIPS]


def _pairs(bucket: tuple[int, ClipIds]) -> Iterator[tuple[tuple[Member, Member], int]]:
    """Yields every pair of clips of different splits that share the bucket's key, with a 1 to count by."""
    _, ids = bucket
    for split, other in itertools.combinations(sorted(ids), 2):
        for clip_id, other_id in itertools.product(ids[split], ids[other]):
            yield ((split, clip_id), (other, other_id)), 1


def _shares_enough(counted: tuple[tuple[Member, Member], int]) -> bool:
    _, shared = counted
    return shared >= SHARED_KEYS


def _by_splits(counted: tuple[tuple[Member, Member], int]) -> tuple[SplitPair, ClipPair]:
    ((split, clip_id), (other, other_id)), shared = counted
    return (split, other), (clip_id, other_id, shared)


def _id_of(pair: tuple[SplitPair, ClipPair], *, side: int) -> tuple[SplitPair, str]:
    splits, ids = pair
    return splits, ids[side]


def _figures(grouped: tuple[SplitPair, dict[str, list]]) -> tuple[SplitPair, CrossSplitFigures]:
    splits, figures = grouped
    return splits, CrossSplitFigures(
        pairs=figures["pairs"][0],
        clips={split: figures[f"clips{side}"][0] for side, split in enumerate(splits)},
        listed=[list(pair) for pair in figures["listed"][0]],
    )
