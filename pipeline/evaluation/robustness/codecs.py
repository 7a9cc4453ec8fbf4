"""Encodes sound with lossy codecs in memory."""

import io

import av
import numpy as np

from beam_jobs.audio import readers
from beam_jobs.audio.sound import Segment, at_rate

_ENCODERS = {"mp3": ("libmp3lame", "mp3"), "opus": ("libopus", "ogg")}
"""Name of the codec -> FFmpeg's encoder and container."""

_RATES = {
    "mp3": (8000, 11025, 12000, 16000, 22050, 24000, 32000, 44100, 48000),
    "opus": (8000, 12000, 16000, 24000, 48000),
}
"""Sample rates that the encoders take, in Hz."""

_MPEG1_HERTZ = 32000
_MPEG1_KBPS = 32  # The least of MPEG-1, and so of an MP3 file with this sample rate or a higher one.
_MPEG2_HERTZ = 16000

_BLOCK = 1024


def encode(samples: np.ndarray, *, sample_rate: int, codec: str, kbps: int) -> bytes:
    """Encodes mono sound.

    Args:
        samples: float32 (samples,) in [-1, 1].
        sample_rate: In Hz. The sound is resampled if the codec does not take this rate, and to 16 kHz for an MP3 file
            of less than 32 kbit/s, which has no higher rate than 24 kHz.
        codec: "mp3" or "opus".
        kbps: Bit rate, in 1,000 bits per second; for MP3 exactly this, for Opus about this.

    Returns:
        The content of an MP3 or an Ogg file.
    """
    encoder, container_format = _ENCODERS[codec]
    rate = _rate(sample_rate, codec=codec, kbps=kbps)
    samples = at_rate(samples, sample_rate, sample_rate=rate)
    file = io.BytesIO()
    with av.open(file, "w", format=container_format) as container:
        stream = container.add_stream(encoder, rate=rate, layout="mono", bit_rate=1000 * kbps)
        for start in range(0, samples.size, _BLOCK):
            block = np.ascontiguousarray(samples[None, start : start + _BLOCK], np.float32)
            frame = av.AudioFrame.from_ndarray(block, format="flt", layout="mono")
            frame.sample_rate, frame.pts = rate, start
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return file.getvalue()


def _rate(sample_rate: int, *, codec: str, kbps: int) -> int:
    """Returns the sample rate to encode at. LAME raises a bit rate that is too low for the sample rate."""
    rate = next((rate for rate in _RATES[codec] if rate >= sample_rate), _RATES[codec][-1])
    if codec == "mp3" and kbps < _MPEG1_KBPS and rate >= _MPEG1_HERTZ:
        return _MPEG2_HERTZ
    return rate


def decode(content: bytes, *, sample_rate: int) -> np.ndarray:
    """Decodes a file as ingest does, float32 (samples,)."""
    sound = readers.read(content, Segment())
    return at_rate(sound.samples, sound.rate, sample_rate=sample_rate)
