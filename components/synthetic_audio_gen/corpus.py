"""Whole clips out of sound events, and AudioSet's files around them."""

import base64
import csv
import dataclasses
import hashlib
import io

import numpy as np

from components.synthetic_audio_gen import sounds

CLASSES = tuple(sounds.SOUNDS)
MIXED_SHARE = 1 / 3  # of the clips hold two classes
_MEDIAN_DB, _SPREAD_DB = -26.0, 10.0  # level of a clip, dBFS


@dataclasses.dataclass(frozen=True, kw_only=True)
class SyntheticClip:
    """One generated clip.

    Attributes:
        ytid: 11 characters, as YouTube's.
        start_s: Where the clip is said to begin in its "video", in seconds.
        classes: Indices of the classes heard, one or two.
        audio: int16 (samples,).
    """

    ytid: str
    start_s: int
    classes: tuple[int, ...]
    audio: np.ndarray

    @property
    def file_name(self) -> str:
        """One of the usual ways to name a downloaded segment."""
        return f"{self.ytid}_{self.start_s}.flac"


def generate(split: str, index: int, *, seed: int, seconds: float, sample_rate: int) -> SyntheticClip:
    """Generates one clip, the same for the same arguments, whatever else is generated.

    Args:
        split: "train" or "eval".
        index: Number of the clip in its split; decides its first class, so that the classes are balanced.
        seed: Of the corpus.
        seconds: Length.
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
        audio=_level(signal, decibels=_MEDIAN_DB + rng.uniform(-_SPREAD_DB, _SPREAD_DB)),
    )


def flac(audio: np.ndarray, *, sample_rate: int) -> bytes:
    """Encodes int16 (samples,) as a 16-bit FLAC file."""
    import soundfile

    buffer = io.BytesIO()
    soundfile.write(buffer, audio, sample_rate, format="FLAC", subtype="PCM_16", compression_level=0.0)
    return buffer.getvalue()


def segments_csv(rows: list[tuple[str, int, float, tuple[int, ...]]], *, seed: int) -> str:
    """AudioSet's segment list: three comment lines, then `YTID, start, end, "labels"`.

    Args:
        rows: (ytid, start in seconds, end in seconds, class indices) per clip.
        seed: Named in the first line.
    """
    labels = {label for *_, classes in rows for label in classes}
    positives = sum(len(classes) for *_, classes in rows)
    lines = [
        f"# Segments csv created by Diptych's SyntheticAudioGen, seed {seed}",
        f"# num_ytids={len(rows)}, num_segs={len(rows)}, num_unique_labels={len(labels)}, "
        f"num_positive_labels={positives}",
        "# YTID, start_seconds, end_seconds, positive_labels",
    ]
    lines += [f'{ytid}, {start:.3f}, {end:.3f}, "{",".join(map(mid, classes))}"' for ytid, start, end, classes in rows]
    return "\n".join(lines) + "\n"


def labels_csv() -> str:
    """AudioSet's `class_labels_indices.csv` for the generated classes."""
    buffer = io.StringIO()
    table = csv.writer(buffer, lineterminator="\n")
    table.writerow(["index", "mid", "display_name"])
    table.writerows([i, mid(i), name] for i, name in enumerate(CLASSES))
    return buffer.getvalue()


def mid(index: int) -> str:
    """Machine name of a class, in AudioSet's style."""
    return f"/t/sg{index:05d}"


def _events(rng: np.random.Generator, *, name: str, samples: int, sample_rate: int) -> np.ndarray:
    """One class over a whole clip: events at random positions, never more than 0.6 s of silence between them.

    Pitch and length are drawn for each event: what stays the same through a clip is its class and its timbre.
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
    """Noise of a random colour between white and brown, 15 to 30 dB below the events."""
    from scipy import signal

    pole = rng.uniform(0.0, 0.95)
    noise = signal.lfilter([np.sqrt(1 - pole**2)], [1.0, -pole], rng.standard_normal(samples, np.float32))
    return noise.astype(np.float32) * np.float32(10 ** (-rng.uniform(15.0, 30.0) / 20))


def _level(signal: np.ndarray, *, decibels: float) -> np.ndarray:
    """Scales to a level in dBFS (less where a peak would clip) and rounds to int16."""
    gain = 10 ** (decibels / 20) / (np.sqrt(np.mean(signal**2)) + 1e-9)
    gain = min(gain, 0.98 / (np.abs(signal).max() + 1e-9))
    return np.round(signal * gain * 32767).astype(np.int16)
