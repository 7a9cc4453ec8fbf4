"""Near duplicates between splits: a few keys a clip from how its spectrum moves, and the clips that share enough keys.

The fingerprint follows Haitsma & Kalker ("A Highly Robust Audio Fingerprinting System", 2002) in looking at how the
energies of bands change over time, which neither gain nor a codec alters much. Instead of the sign of every change
it keeps, at each frame, which band rose most and which fell most: those stand out clearly, so they survive noise that
flips a weak sign. Two such moments 0.4 s apart are a word; the set of a clip's words does not depend on where the clip
begins. MinHash (Broder 1997) turns the set into keys: two clips share each with a probability of the squared Jaccard
similarity of their sets. Only keys and clip ids cross the shuffle, never audio.
"""

import functools
import hashlib
import itertools
from collections.abc import Iterable, Iterator

import apache_beam as beam
import numpy as np
import scipy.fft

KEYS = 24
SHARED_KEYS = 3
BUCKET_CLIPS = 16

_WINDOW_S = 0.064
_BANDS, _LOW_HZ, _HIGH_HZ = 16, 200.0, 4000.0
_SMOOTH, _LAG, _STEP = 16, 8, 12  # frames of half a window: 0.5 s, 0.26 s and 0.4 s
_RANGE_DB = 40.0
_LEAST_CHANGE_DB = 0.2
_WORDS_PER_KEY = 2
_FEWEST_WORDS = 12

Member = tuple[str, str]
"""(split, clip id)"""


def keys(audio: np.ndarray, *, sample_rate: int) -> list[int]:
    """The keys that find the near duplicates of one clip.

    Args:
        audio: int16 (samples,).
        sample_rate: In Hz, at least 8000.

    Returns:
        `KEYS` 64-bit integers. A clip too short (below about 1.5 s) or too steady for a fingerprint has `SHARED_KEYS`
        instead, from a digest of its samples: only identical clips share those. A clip of zeros has none.
    """
    if not audio.any():
        return []
    words = _words(audio, sample_rate=sample_rate)
    if words.size < _FEWEST_WORDS:
        digest = hashlib.blake2b(audio.astype("<i2", copy=False).tobytes(), digest_size=8 * SHARED_KEYS).digest()
        return np.frombuffer(digest, "<i8").tolist()
    minima = _mix(words ^ _seeds()[:, None]).min(axis=1).reshape(KEYS, _WORDS_PER_KEY)
    joined = functools.reduce(lambda key, column: _mix(key ^ column), minima.T, np.arange(KEYS, dtype=np.uint64))
    return joined.view(np.int64).tolist()


class CrossSplitPairs(beam.PTransform):
    """(key, (split, clip id)) of all clips -> the near duplicates of each pair of splits that has any.

    Gives `((split, other split), figures)`: how many `pairs` share at least `SHARED_KEYS` keys, how many `clips` of
    either split are in one, and the first pairs as `listed`, [clip id, clip id, shared keys].

    A key that many clips share (a jingle, a test tone) keeps the first `BUCKET_CLIPS` clips of each split, and thus
    never grows hot; the pairs beyond them are not counted.
    """

    def __init__(self, *, listed: int):
        super().__init__()
        self._listed = listed

    def expand(self, keyed: beam.PCollection) -> beam.PCollection:
        pairs = (
            keyed
            | "Bucket" >> beam.CombinePerKey(_FirstOfEachSplit())
            | "Pair" >> beam.FlatMap(_pairs)
            | "Count shared keys" >> beam.CombinePerKey(sum)
            | "Enough" >> beam.Filter(_enough)
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


def _words(audio: np.ndarray, *, sample_rate: int) -> np.ndarray:
    """The distinct words of a clip, uint64 (words,)."""
    energies = _band_energies(audio, sample_rate=sample_rate)
    frames = len(energies) - _SMOOTH - _LAG - _STEP + 1
    if frames < 1:
        return np.zeros(0, np.uint64)
    total = np.cumsum(np.pad(energies, ((1, 0), (0, 0))), axis=0)
    smooth = (total[_SMOOTH:] - total[:-_SMOOTH]) / _SMOOTH
    loudness = smooth.sum(axis=1)
    # Codecs change what lies further below the clip's loudest moment.
    floor = loudness.max() * 10 ** (-_RANGE_DB / 10)
    level = 10 * np.log10(smooth + floor)
    change = level[_LAG:] - level[:-_LAG]
    moment = change.argmax(axis=1) * _BANDS + change.argmin(axis=1)
    # A band that stands out from the others, both ways: of a tone that swells there is only one.
    middle = np.median(change, axis=1)
    clear = np.minimum(change.max(axis=1) - middle, middle - change.min(axis=1)) > _LEAST_CHANGE_DB
    clear &= loudness[_LAG:] > floor
    both = clear[:-_STEP] & clear[_STEP:]
    return np.unique((moment[:-_STEP] * _BANDS**2 + moment[_STEP:])[both]).astype(np.uint64)


def _band_energies(audio: np.ndarray, *, sample_rate: int) -> np.ndarray:
    """Energies of `_BANDS` bands of equal ratio, float64 (frames, bands)."""
    length = round(_WINDOW_S * sample_rate)
    if audio.size < length:
        return np.zeros((0, _BANDS))
    # The squares of half-overlapping sine windows add up to one, so that a small shift changes the sums little.
    window = np.sin(np.pi * (np.arange(length) + 0.5) / length).astype(np.float32)
    frames = np.lib.stride_tricks.sliding_window_view(audio.astype(np.float32), length)[:: length // 2]
    spectrum = scipy.fft.rfft(frames * window, axis=1)
    edges = np.round(np.geomspace(_LOW_HZ, _HIGH_HZ, _BANDS + 1) * length / sample_rate).astype(int)
    power = spectrum.real[:, : edges[-1]] ** 2 + spectrum.imag[:, : edges[-1]] ** 2
    return np.add.reduceat(power.astype(np.float64), edges[:-1], axis=1)


def _mix(values: np.ndarray) -> np.ndarray:
    """SplitMix64's finaliser: a fixed hash of uint64."""
    values = (values ^ (values >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    values = (values ^ (values >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return values ^ (values >> np.uint64(31))


@functools.cache
def _seeds() -> np.ndarray:
    return _mix(np.arange(1, KEYS * _WORDS_PER_KEY + 1, dtype=np.uint64) * np.uint64(0x9E3779B97F4A7C15))


class _FirstOfEachSplit(beam.CombineFn):
    """Members -> the first `BUCKET_CLIPS` clip ids of each split, sorted; the same in any order of merging."""

    def create_accumulator(self) -> dict[str, list[str]]:
        return {}

    def add_input(self, first: dict[str, list[str]], member: Member) -> dict[str, list[str]]:
        split, clip_id = member
        first[split] = _first([*first.get(split, ()), clip_id])
        return first

    def merge_accumulators(self, parts: Iterable[dict[str, list[str]]]) -> dict[str, list[str]]:
        merged: dict[str, list[str]] = {}
        for part in parts:
            for split, ids in part.items():
                merged[split] = _first([*merged.get(split, ()), *ids])
        return merged

    def extract_output(self, first: dict[str, list[str]]) -> dict[str, list[str]]:
        return first


def _first(ids: list[str]) -> list[str]:
    return sorted(ids)[:BUCKET_CLIPS]


def _pairs(bucket: tuple[int, dict[str, list[str]]]) -> Iterator[tuple[tuple[Member, Member], int]]:
    for split, other in itertools.combinations(sorted(bucket[1]), 2):
        for clip_id, other_id in itertools.product(bucket[1][split], bucket[1][other]):
            yield ((split, clip_id), (other, other_id)), 1


def _enough(counted: tuple[tuple[Member, Member], int]) -> bool:
    return counted[1] >= SHARED_KEYS


def _by_splits(counted: tuple[tuple[Member, Member], int]) -> tuple[tuple[str, str], tuple[str, str, int]]:
    ((split, clip_id), (other, other_id)), shared = counted
    return (split, other), (clip_id, other_id, shared)


def _id_of(pair: tuple[tuple[str, str], tuple[str, str, int]], *, side: int) -> tuple[tuple[str, str], str]:
    splits, ids = pair
    return splits, ids[side]


def _figures(grouped: tuple[tuple[str, str], dict[str, list]]) -> tuple[tuple[str, str], dict]:
    splits, figures = grouped
    clips = {split: figures[f"clips{side}"][0] for side, split in enumerate(splits)}
    return splits, {"pairs": figures["pairs"][0], "clips": clips, "listed": [list(p) for p in figures["listed"][0]]}
