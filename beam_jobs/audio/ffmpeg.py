"""Reads audio files with FFmpeg (PyAV): M4A, MP4, WebM and whatever else libsndfile cannot read."""

import dataclasses
import re

import av

from beam_jobs.audio import checks
from beam_jobs.audio.sound import DecodeError, Samples, Segment, Sound, Source, open_source, to_mono

# FFmpeg takes the duration of these formats from a header. It may guess that of the others from the bit rate.
_FORMATS_WITH_LENGTH = ("aiff", "flac", "matroska", "mov", "wav")
_DURATION_TAG = re.compile(r"(\d+):(\d+):(\d+(?:\.\d+)?)$")


@dataclasses.dataclass(kw_only=True)
class _Decoded:
    """What FFmpeg decodes from the beginning of a file.

    Attributes:
        format: FFmpeg's name of the container, e.g. "matroska".
        codec: FFmpeg's name of the codec, e.g. "opus".
        rate: Sample rate in Hz.
        promised_s: How many seconds of audio the header promises; None if there is no reliable promise.
        samples: The mono samples.
        damage: The error that ended the decoding early, if any.
    """

    format: str
    codec: str
    rate: int
    promised_s: float | None
    samples: Samples
    damage: Exception | None = None


def read(source: Source, segment: Segment, *, sndfile_error: str) -> Sound:
    """Reads a segment of a file.

    Args:
        source: The file.
        segment: What to read of it.
        sndfile_error: Why libsndfile cannot read the file, for the error message.

    Raises:
        DecodeError: if FFmpeg cannot read the file either, the file holds no audio, it ends well before its header
            says, or its sample rate is impossible.
    """
    try:
        decoded = _decode(source, segment)
    except (av.FFmpegError, ValueError, IndexError) as error:
        raise _unreadable(sndfile_error, error) from error
    if not len(decoded.samples):
        if decoded.damage:
            raise _unreadable(sndfile_error, decoded.damage)
        raise DecodeError("too short", "no sample")
    rate = decoded.rate
    checks.check_rate(rate)
    samples = decoded.samples.join()
    decoded_s = samples.size / rate
    promised_s = decoded.promised_s
    if decoded.damage and decoded.format == "mp3":
        # Often the "damage" is only rubbish after the last packet. The packets say how much sound there is.
        promised_s = count_samples(source) / rate or None
    if decoded.damage and promised_s is None and (segment.end_s is None or decoded_s < segment.end_s):
        raise _unreadable(sndfile_error, decoded.damage)
    start_s, end_s = segment.bounds(max(decoded_s, promised_s or 0.0))
    part = samples[round(start_s * rate) : round(end_s * rate)]
    checks.check_length(part.size / rate, promised_s=end_s - start_s)
    if decoded.format == "ogg" and end_s >= decoded_s:
        checks.check_end_of_ogg(source, seconds=decoded_s, granule_rate=rate)
    return Sound(samples=part, rate=rate, codec=f"{decoded.format}/{decoded.codec}")


def count_samples(source: Source) -> float:
    """Returns how many samples the packets of a file hold, without decoding them; 0 if FFmpeg cannot tell."""
    try:
        with av.open(open_source(source)) as container:
            stream = container.streams.audio[0]
            ticks = sum(packet.duration or 0 for packet in container.demux(stream))
            return float(ticks * stream.time_base * stream.rate)
    except (av.FFmpegError, IndexError):
        return 0.0


def _decode(source: Source, segment: Segment) -> _Decoded:
    """Decodes the first audio stream until all that the segment needs is there, the stream ends or it is damaged."""
    with av.open(open_source(source)) as container:
        if not container.streams.audio:
            raise DecodeError("unreadable", "holds no audio stream")
        stream = container.streams.audio[0]
        format_name = container.format.name.split(",")[0]
        decoded = _Decoded(
            format=format_name,
            codec=stream.codec_context.name,
            rate=stream.rate,
            promised_s=_promised_s(container, stream) if format_name in _FORMATS_WITH_LENGTH else None,
            samples=segment.collect(),
        )
        to_float = av.AudioResampler(format="fltp")
        count = 0
        try:
            for frame in container.decode(stream):
                for block in to_float.resample(frame):
                    decoded.samples.append(to_mono(block.to_ndarray(), channel_axis=0), rate=decoded.rate)
                count += frame.samples
                if count > segment.needed_s * decoded.rate:
                    break
        except (av.FFmpegError, ValueError) as error:
            decoded.damage = error
        return decoded


def _promised_s(container: av.container.InputContainer, stream: av.AudioStream) -> float | None:
    """Returns how many seconds of audio the header promises; None if it does not say.

    In a video the sound may be shorter than the pictures.
    """
    if stream.duration:
        return float(stream.duration * stream.time_base)
    for name, value in stream.metadata.items():
        # Matroska has a tag that says when a stream ends. Some programs add a language to its name ("DURATION-eng").
        if name.startswith("DURATION") and (tag := _DURATION_TAG.match(value)):
            end_s = 3600 * int(tag[1]) + 60 * int(tag[2]) + float(tag[3])
            return end_s - max(0.0, float((stream.start_time or 0) * stream.time_base))
    # The container's duration is that of its longest stream, which need not be the sound.
    if container.duration and len(container.streams) == 1:
        return container.duration / av.time_base
    return None


def _unreadable(sndfile_error: str, error: Exception) -> DecodeError:
    return DecodeError("unreadable", f"{sndfile_error} / {getattr(error, 'strerror', error)}")
