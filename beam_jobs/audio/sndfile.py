"""Reads audio files with libsndfile: WAV, AIFF, FLAC, Ogg, MP3 and others."""

import io
import os
import re

import numpy as np
import soundfile

from beam_jobs.audio import checks, ffmpeg, flac
from beam_jobs.audio.headers import Extent
from beam_jobs.audio.sound import BinaryFile, DecodeError, Samples, Segment, Sound, Source, open_file, to_mono

# What libsndfile logs about an MP3 file without a Xing header. It then guesses the length from the size of the file and
# the bit rate of the first frame, which is wrong if the bit rate varies.
_GUESSED_LENGTH = re.compile(r"^ *bitrate mode +: constant", re.MULTILINE)
# How many samples it logs that the headers of rare formats promise. Its own count is that of the samples in the file.
_LOGGED_LENGTH = re.compile(r"^ *(?:Frames +: |Rows +: \d+ +Cols +: |Cols +: )(\d+)", re.MULTILINE)
_FORMATS_WITH_LOGGED_LENGTH = ("AVR", "MAT4", "MAT5", "MPC2K")
_BLOCK_SAMPLES = 2**20
_OPUS_GRANULE_RATE = 48000


class SndfileError(Exception):
    """libsndfile cannot read the file; the message says why. FFmpeg may be able to read it."""


class JoinedError(SndfileError):
    """The file is several that were joined to one, and libsndfile reads only the first."""


def read(source: Source, segment: Segment, *, extent: Extent, loudest: bool) -> Sound:
    """Reads a segment of a file.

    Args:
        source: The file.
        segment: What to read of it.
        extent: What `headers.inspect` found out about the file.
        loudest: Whether to return the loudest channel's magnitude at each time, instead of the mean of the channels.

    Raises:
        SndfileError: if libsndfile cannot read the file.
        JoinedError: if the file goes on after what libsndfile reads.
        DecodeError: if the file ends well before its header says, has an impossible sample rate, or is damaged.
    """
    try:
        with open_file(source) as binary, _open(binary) as file:
            return _read(file, segment, binary=binary, source=source, extent=extent, loudest=loudest)
    except (soundfile.SoundFileError, RuntimeError, MemoryError, ValueError, OSError) as error:
        raise _sndfile_error(error) from error


def _open(binary: BinaryFile) -> soundfile.SoundFile:
    """Opens a file without its name, for which libsndfile would take anything called `a.au` for u-law."""
    if binary.seekable():
        binary.seek(0)
    # libsndfile closes the descriptor.
    return soundfile.SoundFile(os.dup(binary.fileno()) if isinstance(binary, io.FileIO) else binary)


def _sndfile_error(error: Exception) -> SndfileError:
    # Unlike the whole message, `error_string` does not repeat the path, which the caller knows.
    return SndfileError(getattr(error, "error_string", str(error)))


def _read(
    file: soundfile.SoundFile,
    segment: Segment,
    *,
    binary: BinaryFile,
    source: Source,
    extent: Extent,
    loudest: bool,
) -> Sound:
    rate = file.samplerate
    checks.check_rate(rate)
    if file.format == "VOC":
        raise SndfileError("may have several blocks, whose headers libsndfile takes for sound")
    if file.format == "WAV" and file.subtype == "GSM610":
        raise SndfileError("may end with a byte of padding, which libsndfile takes for a block of sound")
    if file.format != "MP3" and file.subtype.startswith("MPEG"):
        raise SndfileError("may lack frames, which libsndfile passes over")
    if extent.is_sequential:
        raise SndfileError("does not count its samples from 0")
    held, promised = _held_and_promised(file, source, extent)
    promised_s = promised / rate
    start_s, end_s = segment.bounds(promised_s)
    start = min(round(start_s * rate), held)
    count = max(0, min(round(end_s * rate), held) - start)
    if file.format == "FLAC":
        samples = _read_flac(
            file, start, count, binary=binary, extent=extent, collected=segment.collect(), loudest=loudest
        )
    else:
        samples = _read_mono(file, start, count, collected=segment.collect(), loudest=loudest)
    checks.check_length(samples.size / rate, promised_s=end_s - start_s)
    if file.format == "OGG" and end_s >= promised_s:
        granule_rate = _OPUS_GRANULE_RATE if file.subtype == "OPUS" else rate
        checks.check_end_of_ogg(source, seconds=promised_s, granule_rate=granule_rate)
    return Sound(samples=samples, rate=rate, codec=f"{file.format}/{file.subtype}".lower(), start_s=start_s)


def _seek(file: soundfile.SoundFile, start: int) -> None:
    """Goes to a sample. libsndfile cannot seek in some formats, such as GSM, where it decodes what comes before."""
    if file.seekable():
        file.seek(start)
        return
    while start > 0:
        skipped = len(file.read(min(_BLOCK_SAMPLES, start), dtype="float32"))
        if not skipped:
            return
        start -= skipped


def _read_flac(
    file: soundfile.SoundFile,
    start: int,
    count: int,
    *,
    binary: BinaryFile,
    extent: Extent,
    collected: Samples,
    loudest: bool,
) -> np.ndarray:
    """Reads samples like `_read_mono`, and raises an error if some are missing or another file follows.

    Raises:
        JoinedError: if another file follows on what was read.
        DecodeError: if the file is damaged before its end.
    """
    error, samples = None, np.zeros(0, np.float32)
    try:
        samples = _read_mono(file, start, count, collected=collected, loudest=loudest)
    except soundfile.SoundFileError as caught:
        error = caught
    # What libsndfile has read is passed over, so that the search costs nothing if nothing follows.
    begin = 0 if samples.size < count else binary.tell() - flac.READ_AHEAD
    is_at_end = start + count >= file.frames
    if (is_at_end or samples.size < count) and flac.find_next(binary, begin=begin) is not None:
        raise JoinedError
    if samples.size < count and extent.ends_whole:
        reason = str(_sndfile_error(error)) if error else f"{count - samples.size:,} samples are missing"
        raise DecodeError("truncated", f"some of its samples cannot be decoded ({reason})")
    if error:
        raise error
    return samples


def _read_mono(file: soundfile.SoundFile, start: int, count: int, *, collected: Samples, loudest: bool) -> np.ndarray:
    """Reads up to `count` samples from a sample on, and mixes the channels.

    Reads block by block, so that a recording of hours is never in memory with all its channels.
    """
    _seek(file, start)
    block_samples = max(1, _BLOCK_SAMPLES // file.channels)
    while len(collected) < count:
        block = file.read(min(block_samples, count - len(collected)), dtype="float32", always_2d=True)
        if not len(block):
            break
        collected.append(to_mono(block, channel_axis=1, loudest=loudest), rate=file.samplerate)
    return collected.join()


def _held_and_promised(file: soundfile.SoundFile, source: Source, extent: Extent) -> tuple[int, float]:
    """Returns how many samples the file holds, and how many it should.

    Raises:
        SndfileError: if libsndfile underestimates the length of an MP3 file, and so cannot read its end.
    """
    if file.subtype.startswith("ALAC"):
        # The header counts the samples itself. Beyond the end of a file that was cut short, libsndfile invents some.
        return int(file.frames / extent.promised_share), file.frames
    if file.format in _FORMATS_WITH_LOGGED_LENGTH and (logged := _LOGGED_LENGTH.findall(file.extra_info)):
        return file.frames, max(file.frames, int(logged[-1]))
    if file.format == "MP3" and _GUESSED_LENGTH.search(file.extra_info):
        counted = ffmpeg.count_samples(source)
        if counted > file.frames + checks.CODEC_SLACK_S * file.samplerate:
            raise SndfileError("longer than the bit rate of its first frame suggests")
        return file.frames, counted or file.frames
    # What was cut short before its first sample should hold one at least.
    least = 1 if extent.promised_share > 1 else 0
    return file.frames, extent.promised_share * max(file.frames, least)
