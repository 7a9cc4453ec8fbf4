"""Writes sound in the formats that FFmpeg's encoders know."""

import fractions
import io
from collections.abc import Mapping, Sequence

import av
import numpy as np
import pytest

from beam_jobs.audio import readers
from beam_jobs.audio.sound import Segment, Sound, Source

RATE = 48000
LAYOUTS = {1: "mono", 2: "stereo"}
# Samples of a packet. An encoder that gets other blocks would join the sound before and after a pause.
_BLOCKS = {"aac": 1024, "mp2": 1152, "libmp3lame": 1152}
_DEFAULT_BLOCK = 960
_BIT_RATES = {"wmav2": 64000, "libopencore_amrnb": 12200}
_OF_SOME_BUILDS = frozenset({"libopencore_amrnb"})
"""PyAV has these encoders before version 19. It still decodes what they write."""


def tone(hertz: float, *, seconds: float, rate: int = RATE) -> np.ndarray:
    return 0.5 * np.sin(2 * np.pi * hertz * np.arange(round(seconds * rate)) / rate).astype(np.float32)


def noise(seconds: float, *, rate: int = RATE) -> np.ndarray:
    return np.random.default_rng(0).uniform(-0.5, 0.5, round(seconds * rate)).astype(np.float32)


def dull_noise(seconds: float, *, rate: int = RATE) -> np.ndarray:
    """Returns noise that codecs keep well, because it has low frequencies only."""
    wave = np.convolve(noise(seconds, rate=rate), np.ones(24), "same")
    return (0.5 * wave / np.abs(wave).max()).astype(np.float32)


def encode(
    wave: np.ndarray,
    *,
    container: str,
    codec: str,
    rate: int = RATE,
    channels: int = 1,
    spans: Sequence[tuple[float, float]] = ((0.0, np.inf),),
    picture_s: float = 0.0,
    options: Mapping[str, str] | None = None,
    codec_options: Mapping[str, str] | None = None,
) -> bytes:
    """Returns a file with a wave.

    Args:
        wave: float32 (samples,), the sound of all channels.
        container: FFmpeg's name of the format.
        codec: FFmpeg's name of the encoder.
        rate: Sample rate in Hz.
        channels: Number of channels.
        spans: Which parts of the wave are there, from second to second. Before, between and after them there is none.
        picture_s: How many seconds of pictures there are.
        options: Options of the container.
        codec_options: Options of the encoder.
    """
    if codec in _OF_SOME_BUILDS and codec not in av.codecs_available:
        pytest.skip(f"PyAV {av.__version__} has no encoder {codec}")
    file = io.BytesIO()
    with av.open(file, "w", format=container, options=dict(options or {})) as output:
        items = []
        if picture_s:
            pictures = output.add_stream({"mpeg": "mpeg2video", "ogg": "libvpx"}.get(container, "mpeg4"), rate=25)
            pictures.width = pictures.height = 64
            pictures.pix_fmt = "yuv420p"
            for i in range(round(25 * picture_s)):
                frame = av.VideoFrame.from_ndarray(np.full((96, 64), 8 * i % 256, np.uint8), format="yuv420p")
                frame.pts, frame.time_base = i, fractions.Fraction(1, 25)
                items.append((i / 25, pictures, frame))
        sound = output.add_stream(codec, rate=rate, layout=LAYOUTS[channels], options=dict(codec_options or {}))
        if codec in _BIT_RATES:
            sound.bit_rate = _BIT_RATES[codec]
        convert = av.AudioResampler(format=sound.format, layout=LAYOUTS[channels], rate=rate)
        size = _BLOCKS.get(codec, _DEFAULT_BLOCK)
        for start_s, end_s in spans:
            end = wave.size if end_s == np.inf else round(end_s * rate) - size + 1
            for start in range(round(start_s * rate), end, size):
                block = np.tile(wave[start : start + size], (channels, 1))
                frame = av.AudioFrame.from_ndarray(block, format="fltp", layout=LAYOUTS[channels])
                frame.sample_rate, frame.pts, frame.time_base = rate, start, fractions.Fraction(1, rate)
                items.append((start / rate, sound, frame))
        for _, stream, frame in sorted(items, key=lambda item: item[0]):
            for converted in convert.resample(frame) if stream is sound else [frame]:
                output.mux(stream.encode(converted))
        for stream in output.streams:
            output.mux(stream.encode(None))
    return file.getvalue()


def read(source: Source, start_s: float = 0.0, end_s: float | None = None) -> Sound:
    return readers.read(source, Segment(start_s=start_s, end_s=end_s))


def seconds(source: Source) -> float:
    sound = read(source)
    return sound.samples.size / sound.rate


def lag_s(samples: np.ndarray, wave: np.ndarray, *, rate: int = RATE) -> float:
    """Returns by how many seconds `samples` come later than the same sound in `wave`; infinity if it is not there."""
    size = 1 << (samples.size + wave.size).bit_length()
    product = np.fft.irfft(np.fft.rfft(samples, size) * np.conj(np.fft.rfft(wave, size)), size)
    best = int(np.argmax(product))
    if product[best] <= 0.3 * np.linalg.norm(samples) * np.linalg.norm(wave):
        return np.inf
    return (best - size if best > size // 2 else best) / rate


def hertz(samples: np.ndarray, *, rate: int) -> float:
    """Returns the frequency of a tone."""
    spectrum = np.abs(np.fft.rfft(samples * np.hanning(samples.size)))
    return float(np.argmax(spectrum)) * rate / samples.size
