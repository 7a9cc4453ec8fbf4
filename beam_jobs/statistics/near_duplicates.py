"""Finds near duplicates between splits: pairs of clips that share enough keys of their fingerprints.

Only keys and clip ids cross the shuffle, never audio. They cross it as bytes, many keys in each: Beam's runner for one
machine holds all of a shuffle in memory, where a Python object for each of the millions of keys would not fit.
"""

import collections
import itertools
from collections.abc import Iterable, Iterator, Sequence
from typing import TypedDict

import apache_beam as beam

from beam_jobs.statistics.fingerprints import SHARED_KEYS

BUCKET_CLIPS = 16
"""Number of clips of each split that all clips of another one are compared with for one key."""

_PARTS = 512
"""Number of parts of the key space. One is searched at a time, and takes some 50 MB with two million clips."""

_CODER = beam.coders.FastPrimitivesCoder()

# (split, [(clip id, keys of its fingerprint)])
KeyedClips = tuple[str, Sequence[tuple[str, Sequence[int]]]]
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

    Takes `KeyedClips`, for example those of a file: the more clips in each, the less memory they take. Gives
    `(SplitPair, CrossSplitFigures)` for every two splits that have near duplicates.

    Of a key that many clips share (e.g. of a jingle or a test tone), every clip is compared with the first
    `BUCKET_CLIPS` clips of the other split alone, so that the number of comparisons grows with that of the clips and
    not with its square. So `clips` counts each of them, and `pairs` only those with one of the first clips.

    Args:
        listed: Number of pairs to list for every two splits.
    """

    def __init__(self, *, listed: int):
        super().__init__()
        self._listed = listed

    def expand(self, keyed: beam.PCollection[KeyedClips]) -> beam.PCollection:
        pairs = (
            keyed
            | "Part" >> beam.FlatMap(_parts)
            | "Gather part" >> beam.GroupByKey()
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


def _parts(clips: KeyedClips) -> Iterator[tuple[int, bytes]]:
    """Yields keys with their clips, encoded, by the part of the key space that they are in."""
    split, keys_of_clips = clips
    buckets: dict[int, list[str]] = collections.defaultdict(list)
    for clip_id, keys in keys_of_clips:
        for key in keys:
            buckets[key].append(clip_id)
    parts: dict[int, list[tuple[int, list[str]]]] = collections.defaultdict(list)
    for key, ids in buckets.items():
        parts[key % _PARTS].append((key, ids))
    for part, content in parts.items():
        yield part, _CODER.encode((split, content))


def _pairs(part: tuple[int, Iterable[bytes]]) -> Iterator[tuple[tuple[Member, Member], int]]:
    """Yields every pair of clips of different splits for every key of the part that they share, with a 1 to count by.

    In each pair, one clip is among the first `BUCKET_CLIPS` of its split that have the key, in alphabetical order.
    """
    _, encoded = part
    buckets: dict[int, ClipIds] = {}
    for split, content in map(_CODER.decode, encoded):
        for key, ids in content:
            buckets.setdefault(key, {}).setdefault(split, []).extend(ids)
    for bucket in buckets.values():
        for split, other in itertools.combinations(sorted(bucket), 2):
            for clip_id, other_id in _compared(sorted(bucket[split]), sorted(bucket[other])):
                yield ((split, clip_id), (other, other_id)), 1


def _compared(ids: Sequence[str], other_ids: Sequence[str]) -> Iterator[tuple[str, str]]:
    """Yields the pairs of two splits to compare: those of which at least one clip is among its split's first."""
    yield from itertools.product(ids[:BUCKET_CLIPS], other_ids)
    yield from itertools.product(ids[BUCKET_CLIPS:], other_ids[:BUCKET_CLIPS])


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
