"""Synthesizes sound scenes whose near duplicates can be found, and which differ enough not to be found by mistake."""

import numpy as np
import scipy.signal


def scene(seed, *, seconds=8.0, sample_rate=16000):
    """Returns overlapping bursts of filtered noise and of harmonic tones over soft noise, int16 (samples,)."""
    rng = np.random.default_rng(seed)
    wave = rng.normal(size=round(seconds * sample_rate)) * 0.003
    for start in np.cumsum(rng.uniform(0.1, 0.5, size=40)):
        length = round(rng.uniform(0.1, 0.9) * sample_rate)
        first = round(start * sample_rate)
        if first + length > wave.size:
            break
        time = np.arange(length) / sample_rate
        pitch = rng.uniform(200, 2500)
        if rng.integers(2):
            burst = sum(np.sin(2 * np.pi * pitch * k * time) / k for k in range(1, 4))
        else:
            band = scipy.signal.butter(2, [pitch, 1.4 * pitch], "bandpass", fs=sample_rate, output="sos")
            burst = 2 * scipy.signal.sosfilt(band, rng.normal(size=length))
        wave[first : first + length] += burst * np.exp(-time * rng.uniform(1, 12)) * rng.uniform(0.05, 0.12)
    return pcm(wave)


def pcm(wave):
    """Converts floating point samples in [-1, 1) to int16."""
    return np.clip(np.rint(wave * 32768), -32768, 32767).astype(np.int16)
