"""Combines sound events into clips, and writes AudioSet's lists of them."""

import base64
import csv
import dataclasses
import hashlib
import io
from collections.abc import Sequence

import numpy as np
import scipy.signal
import soundfile

from components.synthetic_audio_gen import sounds

CLASSES = tuple(sounds.SOUNDS)
MIXED_SHARE = 1 / 3
"""Share of the clips that have two classes."""

_MEAN_LEVEL_DBFS = -26.0
_LEVEL_RANGE_DB = 10.0  # Levels are uniform within this range on both sides of the mean.


@dataclasses.dataclass(frozen=True, kw_only=True)
class SyntheticClip:
    """One generated clip.

    Attributes:
        ytid: An id of 11 characters, in YouTube's form.
        start_s: Start of the clip in its imaginary video, in seconds.
        classes: Indices of the one or two classes in the clip, ascending.
        audio: int16 (samples,).
    """

    ytid: str
    start_s: int
    classes: tuple[int, ...]
    audio: np.ndarray

    @property
    def file_name(self) -> str:
        return f"{self.ytid}_{self.start_s}.flac"


@dataclasses.dataclass(frozen=True, kw_only=True)
class Segment:
    """One row of AudioSet's segment list, with times in seconds and class indices instead of their ids."""

    ytid: str
    start_s: float
    end_s: float
    classes: tuple[int, ...]


def generate(split: str, index: int, *, seed: int, seconds: float, sample_rate: int) -> SyntheticClip:
    """Generates one clip, which depends only on the arguments.

    Args:
        split: "train" or "eval".
        index: Number of the clip in its split. It decides the first class, so that the classes are balanced.
        seed: Seed of the corpus.
        seconds: Length of the clip.
        sample_rate: In Hz.
    """
    digest = hashlib.blake2b(f"{seed}/{split}/{index}".encode(), digest_size=16).digest()
    rng = np.random.default_rng(int.from_bytes(digest, "big"))
    classes = [index % len(CLASSES)]
    if rng.random() < MIXED_SHARE:
        classes.append(int((classes[0] + rng.integers(1, len(CLASSES))) % len(CLASSES)))
    samples = round(seconds * sample_rate)
    signal = sum(_events(rng, name=CLASSES[c], samples=samples, sample_rate=sample_rate) for c in classes)
    signal += _background(rng, samples=samples)
    return SyntheticClip(
        ytid=base64.urlsafe_b64encode(digest)[:11].decode(),
        start_s=int(rng.integers(0, 30)) * 10,
        classes=tuple(sorted(classes)),
        audio=_to_level(signal, level_dbfs=_MEAN_LEVEL_DBFS + rng.uniform(-_LEVEL_RANGE_DB, _LEVEL_RANGE_DB)),
    )


def encode_flac(audio: np.ndarray, *, sample_rate: int) -> bytes:
    """Encodes int16 (samples,) as a 16-bit FLAC file."""
    buffer = io.BytesIO()
    soundfile.write(buffer, audio, sample_rate, format="FLAC", subtype="PCM_16", compression_level=0.0)
    return buffer.getvalue()


def segments_csv(segments: Sequence[Segment], *, seed: int) -> str:
    """Returns AudioSet's segment list: three comment lines, then rows of `YTID, start, end, "labels"`.

    Args:
        segments: The rows.
        seed: Seed of the corpus, for the first comment.
    """
    labels = {label for segment in segments for label in segment.classes}
    positives = sum(len(segment.classes) for segment in segments)
    lines = [
        f"# Segments csv created by Diptych's SyntheticAudioGen, seed {seed}",
        f"# num_ytids={len(segments)}, num_segs={len(segments)}, num_unique_labels={len(labels)}, "
        f"num_positive_labels={positives}",
        "# YTID, start_seconds, end_seconds, positive_labels",
    ]
    for segment in segments:
        mids = ",".join(mid(label) for label in segment.classes)
        lines.append(f'{segment.ytid}, {segment.start_s:.3f}, {segment.end_s:.3f}, "{mids}"')
    return "\n".join(lines) + "\n"


def labels_csv() -> str:
    """Returns AudioSet's `class_labels_indices.csv` for the generated classes."""
    buffer = io.StringIO()
    table = csv.writer(buffer, lineterminator="\n")
    table.writerow(["index", "mid", "display_name"])
    for index, name in enumerate(CLASSES):
        table.writerow([index, mid(index), name])
    return buffer.getvalue()


def mid(index: int) -> str:
    """Returns the machine id of a class, in AudioSet's form."""
    return f"/t/sg{index:05d}"


def _events(rng: np.random.Generator, *, name: str, samples: int, sample_rate: int) -> np.ndarray:
    """Fills a clip with events of one class, at most 0.6 s apart. Returns float32 (samples,).

    All events of a clip have the same timbre. Their pitch and length vary.
    """
    signal = np.zeros(samples, np.float32)
    timbre = sounds.timbre(rng)
    position = round(rng.uniform(0.0, 0.5) * sample_rate)
    while position < samples:
        event = sounds.SOUNDS[name](rng, sample_rate, timbre)[: samples - position]
        signal[position : position + event.size] += event * 10 ** (rng.uniform(-3.0, 3.0) / 20)
        position += event.size + round(rng.uniform(0.1, 0.6) * sample_rate)
    signal /= np.sqrt(np.mean(signal**2)) + 1e-9
    return signal * np.float32(10 ** (rng.uniform(-3.0, 3.0) / 20))


def _background(rng: np.random.Generator, *, samples: int) -> np.ndarray:
    """Generates noise with a spectrum between white and brown, 15 to 30 dB below the events."""
    pole = rng.uniform(0.0, 0.95)
    noise = scipy.signal.lfilter([np.sqrt(1 - pole**2)], [1.0, -pole], rng.standard_normal(samples, np.float32))
    return noise.astype(np.float32) * np.float32(10 ** (-rng.uniform(15.0, 30.0) / 20))


def _to_level(signal: np.ndarray, *, level_dbfs: float) -> np.ndarray:
    """Scales a signal to an RMS level, or to a lower one if its peak would clip. Returns int16 (samples,)."""
    gain = 10 ** (level_dbfs / 20) / (np.sqrt(np.mean(signal**2)) + 1e-9)
    gain = min(gain, 0.98 / (np.abs(signal).max() + 1e-9))
    return np.round(signal * gain * 32767).astype(np.int16)
