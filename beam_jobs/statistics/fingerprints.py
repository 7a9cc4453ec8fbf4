"""Fingerprints the sound of a clip, so that near duplicates can be found by the keys that they share.

The fingerprint follows Haitsma & Kalker ("A Highly Robust Audio Fingerprinting System", 2002). It describes how the
energies of frequency bands change over time, which gain and codecs alter little. Haitsma & Kalker keep the sign of
every change. Here each frame keeps only the band that rises most and the band that falls most, because these stand out
and therefore survive noise that flips weak signs. Two such frames 0.4 s apart form a word. The set of a clip's words
does not depend on where the clip begins.

MinHash (Broder 1997) reduces the set of words to a fixed number of keys. Two clips share a key with a probability that
equals the squared Jaccard similarity of their sets.
"""

import functools
import hashlib

import numpy as np
import scipy.fft

KEYS = 24
"""Number of keys of a fingerprint."""
SHARED_KEYS = 3
"""Two clips that share at least this many keys are near duplicates."""

_WINDOW_S = 0.064
_BANDS, _LOW_HZ, _HIGH_HZ = 16, 200.0, 4000.0
# Numbers of frames. Frames are half a window apart.
_SMOOTH = 16  # Frames that are averaged (0.5 s).
_LAG = 8  # Distance between two averages that are compared (0.26 s).
_STEP = 12  # Distance between the two frames of a word (0.4 s).
_RANGE_DB = 40.0
_MIN_CHANGE_DB = 0.2
_WORDS_PER_KEY = (
    2  # Two clips share a minimum with the probability of their Jaccard similarity; a key joins two minima.
)
_MIN_WORDS = 12


def fingerprint_keys(audio: np.ndarray, *, sample_rate: int) -> list[int]:
    """Computes the keys of one clip. Near duplicates share keys.

    Args:
        audio: int16 (samples,).
        sample_rate: In Hz, at least 8000.

    Returns:
        `KEYS` 64-bit integers. A clip that is too short (below about 1.5 s) or too steady for a fingerprint has
        `SHARED_KEYS` keys from a digest of its samples instead, which only identical clips share. A clip of zeros has
        no keys.
    """
    if not audio.any():
        return []
    words = _words(audio, sample_rate=sample_rate)
    if words.size < _MIN_WORDS:
        digest = hashlib.blake2b(audio.astype("<i2", copy=False).tobytes(), digest_size=8 * SHARED_KEYS).digest()
        return np.frombuffer(digest, "<i8").tolist()
    minima = _mix(words ^ _seeds()[:, None]).min(axis=1).reshape(KEYS, _WORDS_PER_KEY)
    # The start value differs for each key, so that the same words give different keys at different places.
    keys = np.arange(KEYS, dtype=np.uint64)
    for column in minima.T:
        keys = _mix(keys ^ column)
    return keys.view(np.int64).tolist()


def _words(audio: np.ndarray, *, sample_rate: int) -> np.ndarray:
    """Returns the distinct words of a clip, uint64 (words,)."""
    energies = _band_energies(audio, sample_rate=sample_rate)
    frames = len(energies) - _SMOOTH - _LAG - _STEP + 1
    if frames < 1:
        return np.zeros(0, np.uint64)
    total = np.cumsum(np.pad(energies, ((1, 0), (0, 0))), axis=0)
    smooth = (total[_SMOOTH:] - total[:-_SMOOTH]) / _SMOOTH
    loudness = smooth.sum(axis=1)
    # Codecs change what is more than `_RANGE_DB` softer than the clip's loudest frame, so a floor hides it.
    floor = loudness.max() * 10 ** (-_RANGE_DB / 10)
    level = 10 * np.log10(smooth + floor)
    change = level[_LAG:] - level[:-_LAG]
    extremes = change.argmax(axis=1) * _BANDS + change.argmin(axis=1)
    # One band must rise and another must fall relative to the others. In a tone that swells, only one band moves.
    middle = np.median(change, axis=1)
    is_clear = np.minimum(change.max(axis=1) - middle, middle - change.min(axis=1)) > _MIN_CHANGE_DB
    is_clear &= loudness[_LAG:] > floor
    both_clear = is_clear[:-_STEP] & is_clear[_STEP:]
    return np.unique((extremes[:-_STEP] * _BANDS**2 + extremes[_STEP:])[both_clear]).astype(np.uint64)


def _band_energies(audio: np.ndarray, *, sample_rate: int) -> np.ndarray:
    """Returns the energies of `_BANDS` logarithmically spaced bands, float64 (frames, bands)."""
    length = round(_WINDOW_S * sample_rate)
    if audio.size < length:
        return np.zeros((0, _BANDS))
    # The squares of half-overlapping sine windows add up to one, so a small shift changes the energies little.
    window = np.sin(np.pi * (np.arange(length) + 0.5) / length).astype(np.float32)
    frames = np.lib.stride_tricks.sliding_window_view(audio.astype(np.float32), length)[:: length // 2]
    spectrum = scipy.fft.rfft(frames * window, axis=1)
    edges = np.round(np.geomspace(_LOW_HZ, _HIGH_HZ, _BANDS + 1) * length / sample_rate).astype(int)
    power = spectrum.real[:, : edges[-1]] ** 2 + spectrum.imag[:, : edges[-1]] ** 2
    return np.add.reduceat(power.astype(np.float64), edges[:-1], axis=1)


def _mix(values: np.ndarray) -> np.ndarray:
    """Hashes uint64 values with the finalizer of SplitMix64."""
    values = (values ^ (values >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    values = (values ^ (values >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return values ^ (values >> np.uint64(31))


@functools.cache
def _seeds() -> np.ndarray:
    return _mix(np.arange(1, KEYS * _WORDS_PER_KEY + 1, dtype=np.uint64) * np.uint64(0x9E3779B97F4A7C15))
