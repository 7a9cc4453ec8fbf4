"""What recordings suffer: noise, another level, a delay, lossy codecs and other sample rates."""

import dataclasses
import zlib
from collections.abc import Callable, Mapping

import numpy as np

from beam_jobs.audio.sound import at_rate
from pipeline.evaluation.robustness import codecs

_NEVER_SILENT = 1e-12


@dataclasses.dataclass(frozen=True, kw_only=True)
class Kind:
    """One kind of perturbation.

    Attributes:
        title: For people, e.g. "white noise".
        unit: Of the levels, e.g. "dB SNR".
        levels: From mild to severe.
        apply: (samples float32 (n,), sample rate, level, generator) -> float32 (n,).
    """

    title: str
    unit: str
    levels: tuple[float, ...]
    apply: Callable[[np.ndarray, int, float, np.random.Generator], np.ndarray]


def perturb(samples: np.ndarray, *, sample_rate: int, kind: str, level: float, clip_id: str) -> np.ndarray:
    """Perturbs a clip. What is random depends on the clip and the kind alone, so that all levels draw the same.

    Args:
        samples: float32 (samples,) in [-1, 1].
        sample_rate: In Hz.
        kind: A key of `KINDS`.
        level: In the unit of the kind.
        clip_id: Name of the clip.

    Returns:
        float32 (samples,) of the same length in [-1, 1]: what is louder is cut off, as in a recording.
    """
    random = np.random.default_rng([zlib.crc32(kind.encode()), zlib.crc32(clip_id.encode())])
    perturbed = KINDS[kind].apply(samples, sample_rate, level, random)
    return np.clip(perturbed, -1.0, 1.0).astype(np.float32)


def _white(samples: np.ndarray, sample_rate: int, snr_db: float, random: np.random.Generator) -> np.ndarray:
    return _with_noise(samples, random.standard_normal(samples.size), snr_db=snr_db)


def _pink(samples: np.ndarray, sample_rate: int, snr_db: float, random: np.random.Generator) -> np.ndarray:
    """Adds noise whose power falls with the frequency, by 3 dB an octave, from 20 Hz on."""
    spectrum = np.fft.rfft(random.standard_normal(samples.size))
    hertz = np.fft.rfftfreq(samples.size, 1 / sample_rate)
    return _with_noise(samples, np.fft.irfft(spectrum / np.sqrt(np.maximum(hertz, 20.0)), samples.size), snr_db=snr_db)


def _with_noise(samples: np.ndarray, noise: np.ndarray, *, snr_db: float) -> np.ndarray:
    power = np.mean(np.square(samples, dtype=np.float64))
    scale = np.sqrt(power / max(np.mean(np.square(noise)), _NEVER_SILENT) / 10 ** (snr_db / 10))
    return samples + scale * noise


def _gain(samples: np.ndarray, sample_rate: int, db: float, random: np.random.Generator) -> np.ndarray:
    return samples * 10 ** (db / 20)


def _shift(samples: np.ndarray, sample_rate: int, ms: float, random: np.random.Generator) -> np.ndarray:
    """Delays the sound: silence comes before it, and its end is cut off.

    A clip is delayed by at most half of its length, so that its first half is always heard.
    """
    delay = min(round(ms * sample_rate / 1000), samples.size // 2)
    return _as_long(np.pad(samples, (delay, 0)), samples.size)


def _codec(name: str) -> Callable[[np.ndarray, int, float, np.random.Generator], np.ndarray]:
    def apply(samples: np.ndarray, sample_rate: int, kbps: float, random: np.random.Generator) -> np.ndarray:
        content = codecs.encode(samples, sample_rate=sample_rate, codec=name, kbps=round(kbps))
        return _as_long(codecs.decode(content, sample_rate=sample_rate), samples.size)

    return apply


def _resample(samples: np.ndarray, sample_rate: int, hertz: float, random: np.random.Generator) -> np.ndarray:
    other = at_rate(samples, sample_rate, sample_rate=round(hertz))
    return _as_long(at_rate(other, round(hertz), sample_rate=sample_rate), samples.size)


def _as_long(samples: np.ndarray, size: int) -> np.ndarray:
    """Returns samples with silence at the end, or without their end, so that they have `size`."""
    return np.pad(samples[:size], (0, max(0, size - samples.size)))


KINDS: Mapping[str, Kind] = {
    "white_noise": Kind(title="white noise", unit="dB SNR", levels=(40.0, 30.0, 20.0, 10.0, 0.0), apply=_white),
    "pink_noise": Kind(title="pink noise", unit="dB SNR", levels=(40.0, 30.0, 20.0, 10.0, 0.0), apply=_pink),
    "gain": Kind(title="gain", unit="dB", levels=(-40.0, -30.0, -20.0, -10.0, 10.0, 20.0), apply=_gain),
    "shift": Kind(title="delay", unit="ms", levels=(10.0, 30.0, 100.0, 300.0, 1000.0), apply=_shift),
    "mp3": Kind(title="MP3", unit="kbit/s", levels=(64.0, 32.0, 16.0, 8.0), apply=_codec("mp3")),
    "opus": Kind(title="Opus", unit="kbit/s", levels=(64.0, 32.0, 16.0, 8.0), apply=_codec("opus")),
    "resampling": Kind(
        title="resampling and back", unit="Hz", levels=(44100.0, 22050.0, 11025.0, 8000.0), apply=_resample
    ),
}
