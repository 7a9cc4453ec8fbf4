"""Sixteen sound events in eight pairs. The two events of a pair have the same long-term statistics.

They differ only in their course over time: one event is the other one played backwards, repeats more slowly, or repeats
less regularly. The mean and the standard deviation over the frames of a clip therefore separate the pairs but not the
two events of a pair. A model has to learn the temporal structure to separate those.
"""

from collections.abc import Callable

import numpy as np

Event = Callable[[np.random.Generator, int, np.ndarray], np.ndarray]
"""A generator of one event.

Takes a random generator, the sample rate in Hz and the weights of the harmonics, float (3,). Returns float (samples,)
with a level of about one.
"""


def _chirp(rng: np.random.Generator, rate: int, timbre: np.ndarray) -> np.ndarray:
    time, phase, seconds = _glide(rng, rate)
    return _harmonics(phase, timbre) * _fade(time, seconds)


def _noise_sweep(rng: np.random.Generator, rate: int, timbre: np.ndarray) -> np.ndarray:
    del timbre
    time, phase, seconds = _glide(rng, rate)
    return _slow_noise(rng, time, bandwidth=250.0) * np.cos(phase) * _fade(time, seconds)


def _melody(rng: np.random.Generator, rate: int, timbre: np.ndarray) -> np.ndarray:
    time = _time(rate, rng.uniform(0.13, 0.2))
    pitch = rng.uniform(250.0, 700.0)
    notes = [_harmonics(2 * np.pi * pitch * 2 ** (s / 12) * time, timbre) for s in (0, 4, 7, 12)]
    return np.concatenate([note * np.hanning(time.size) for note in notes])


def _strike(rng: np.random.Generator, rate: int, timbre: np.ndarray) -> np.ndarray:
    time = _time(rate, 0.6)
    pitch = rng.uniform(300.0, 900.0)
    decay = np.exp(-time / rng.uniform(0.08, 0.16))
    partials = sum(
        weight * np.sin(2 * np.pi * pitch * ratio * time)
        for weight, ratio in zip(timbre, (1.0, 2.76, 5.4), strict=True)  # The modes of a struck bar.
    )
    return partials * decay * np.minimum(1.0, (time[-1] - time) / 0.05)


def _tremolo(low: float, high: float) -> Event:
    def event(rng: np.random.Generator, rate: int, timbre: np.ndarray) -> np.ndarray:
        time = _time(rate, 1.4)
        swell = 0.5 - 0.5 * np.cos(2 * np.pi * rng.uniform(low, high) * time)
        return _harmonics(2 * np.pi * rng.uniform(250.0, 1000.0) * time, timbre) * swell * _fade(time, 1.4)

    return event


def _vibrato(low: float, high: float) -> Event:
    def event(rng: np.random.Generator, rate: int, timbre: np.ndarray) -> np.ndarray:
        time = _time(rate, 1.4)
        pitch, speed, depth = rng.uniform(300.0, 1000.0), rng.uniform(low, high), 0.09
        phase = 2 * np.pi * pitch * time - pitch * depth / speed * np.cos(2 * np.pi * speed * time)
        return _harmonics(phase, timbre) * _fade(time, 1.4)

    return event


def _bursts(jitter: float) -> Event:
    def event(rng: np.random.Generator, rate: int, timbre: np.ndarray) -> np.ndarray:
        del timbre
        count, spacing = 8, rng.uniform(0.16, 0.2)
        moments = (np.arange(count) + rng.uniform(-jitter, jitter, count) + 0.5) * spacing
        time = _time(rate, count * spacing + 0.05)
        envelope = sum(np.exp(-(((time - moment) / 0.015) ** 2)) for moment in moments)
        return _slow_noise(rng, time, bandwidth=1500.0) * np.cos(2 * np.pi * rng.uniform(1500, 4000) * time) * envelope

    return event


def _knocks(moments: tuple[float, ...]) -> Event:
    def event(rng: np.random.Generator, rate: int, timbre: np.ndarray) -> np.ndarray:
        time = _time(rate, 1.8)
        knock = _harmonics(2 * np.pi * rng.uniform(120.0, 260.0) * time, timbre) * np.exp(-time / 0.02)
        signal = np.zeros(time.size)
        for moment in moments:
            start = round(moment * rate)
            signal[start:] += knock[: time.size - start]
        return signal

    return event


def _backwards(event: Event) -> Event:
    return lambda rng, rate, timbre: event(rng, rate, timbre)[::-1]


SOUNDS: dict[str, Event] = {
    "Rising chirp": _chirp,
    "Falling chirp": _backwards(_chirp),
    "Rising noise sweep": _noise_sweep,
    "Falling noise sweep": _backwards(_noise_sweep),
    "Rising melody": _melody,
    "Falling melody": _backwards(_melody),
    "Strike": _strike,
    "Reversed strike": _backwards(_strike),
    "Slow tremolo": _tremolo(3.0, 4.5),
    "Fast tremolo": _tremolo(9.0, 13.0),
    "Slow vibrato": _vibrato(3.0, 4.5),
    "Fast vibrato": _vibrato(9.0, 13.0),
    "Regular bursts": _bursts(0.0),
    "Irregular bursts": _bursts(0.45),
    "Knocks in twos": _knocks((0.0, 0.12, 0.6, 0.72, 1.2, 1.32)),
    "Knocks in threes": _knocks((0.0, 0.12, 0.24, 0.9, 1.02, 1.14)),
}
"""Display name -> event, in the order of the class indices."""


def timbre(rng: np.random.Generator) -> np.ndarray:
    """Draws the weights of three harmonics or modes. Returns float (3,)."""
    return np.array([1.0, rng.uniform(0.1, 0.8), rng.uniform(0.0, 0.4)])


def _glide(rng: np.random.Generator, rate: int) -> tuple[np.ndarray, np.ndarray, float]:
    """Draws an exponential glide upwards by one to two octaves. Returns time in s, phase in rad, and length in s."""
    seconds = rng.uniform(0.4, 0.8)
    low, octaves = rng.uniform(250.0, 600.0), rng.uniform(1.0, 2.0)
    time = _time(rate, seconds)
    slope = octaves * np.log(2.0) / seconds
    return time, 2 * np.pi * low / slope * np.expm1(slope * time), seconds


def _harmonics(phase: np.ndarray, weights: np.ndarray) -> np.ndarray:
    phase = phase.astype(np.float32)  # Several times faster, with an error below -50 dB.
    return sum(np.float32(weight) * np.sin((i + 1) * phase) for i, weight in enumerate(weights))


def _time(rate: int, seconds: float) -> np.ndarray:
    return np.arange(round(rate * seconds)) / rate


def _fade(time: np.ndarray, seconds: float) -> np.ndarray:
    """Returns an envelope with the same 30 ms ramp at both ends, so that reversing an event keeps its envelope."""
    return np.clip(np.minimum(time, seconds - time) / 0.03, 0.0, 1.0)


def _slow_noise(rng: np.random.Generator, time: np.ndarray, *, bandwidth: float) -> np.ndarray:
    """Generates noise from 0 Hz to about `bandwidth` (in Hz) by interpolating white noise of a low sample rate."""
    points = int(time[-1] * 2 * bandwidth) + 2
    return np.interp(time * 2 * bandwidth, np.arange(points), rng.standard_normal(points))
