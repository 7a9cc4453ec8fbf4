"""Reads audio files with libsndfile: WAV, AIFF, FLAC, Ogg, MP3 and others."""

import re

import numpy as np
import soundfile

from beam_jobs.audio import checks, ffmpeg
from beam_jobs.audio.sound import Samples, Segment, Sound, Source, open_source, to_mono

# What libsndfile logs about a WAV or AIFF file that ends before its header says.
_SHORT_CHUNK = re.compile(r"^ *(?:data|SSND) : (\d+) \(should be (\d+)\)", re.MULTILINE)
# Sizes from here on mean "unknown". Programs that write to a pipe leave them in the header.
_UNKNOWN_SIZE = 0x7FFF0000
# What libsndfile logs about an MP3 file without a Xing header. It then guesses the length from the size of the file and
# the bit rate of the first frame, which is wrong if the bit rate varies.
_GUESSED_LENGTH = re.compile(r"^ *bitrate mode +: constant", re.MULTILINE)
_BLOCK_SAMPLES = 2**20
_OPUS_GRANULE_RATE = 48000


class SndfileError(Exception):
    """libsndfile cannot read the file; the message says why. FFmpeg may be able to read it."""


def read(source: Source, segment: Segment) -> Sound:
    """Reads a segment of a file.

    Raises:
        SndfileError: if libsndfile cannot read the file.
        DecodeError: if the file ends well before its header says, or has an impossible sample rate.
    """
    try:
        with soundfile.SoundFile(open_source(source)) as file:
            return _read(file, segment, source=source)
    except (soundfile.SoundFileError, RuntimeError, MemoryError, ValueError) as error:
        # Unlike the whole message, `error_string` does not repeat the path, which the caller knows.
        raise SndfileError(getattr(error, "error_string", str(error))) from error


def _read(file: soundfile.SoundFile, segment: Segment, *, source: Source) -> Sound:
    rate = file.samplerate
    checks.check_rate(rate)
    promised_s = _promised_samples(file, source) / rate
    start_s, end_s = segment.bounds(promised_s)
    start = min(round(start_s * rate), file.frames)
    file.seek(start)
    samples = _read_mono(file, max(0, round(end_s * rate) - start), collected=segment.collect())
    checks.check_length(samples.size / rate, promised_s=end_s - start_s)
    if file.format == "OGG" and end_s >= promised_s:
        granule_rate = _OPUS_GRANULE_RATE if file.subtype == "OPUS" else rate
        checks.check_end_of_ogg(source, seconds=promised_s, granule_rate=granule_rate)
    return Sound(samples=samples, rate=rate, codec=f"{file.format}/{file.subtype}".lower())


def _read_mono(file: soundfile.SoundFile, count: int, *, collected: Samples) -> np.ndarray:
    """Reads up to `count` samples and averages the channels.

    Reads block by block, so that a recording of hours is never in memory with all its channels.
    """
    block_samples = max(1, _BLOCK_SAMPLES // file.channels)
    while len(collected) < count:
        block = file.read(min(block_samples, count - len(collected)), dtype="float32", always_2d=True)
        if not len(block):
            break
        collected.append(to_mono(block, channel_axis=1), rate=file.samplerate)
    return collected.join()


def _promised_samples(file: soundfile.SoundFile, source: Source) -> float:
    """Returns how many samples the file should have.

    Raises:
        SndfileError: if libsndfile underestimates the length of an MP3 file, and so cannot read its end.
    """
    if chunk := _SHORT_CHUNK.search(file.extra_info):
        promised_bytes, actual_bytes = int(chunk[1]), int(chunk[2])
        if actual_bytes < promised_bytes < _UNKNOWN_SIZE:
            return file.frames * promised_bytes / max(1, actual_bytes)
    if file.format == "MP3" and _GUESSED_LENGTH.search(file.extra_info):
        counted = ffmpeg.count_samples(source)
        if counted > file.frames + checks.CODEC_SLACK_S * file.samplerate:
            raise SndfileError("longer than the bit rate of its first frame suggests")
        return counted or file.frames
    return file.frames
