"""Opens audio files: libsndfile first, FFmpeg (PyAV) for what that cannot read."""

import dataclasses
import io
import os
import queue
import re
import threading
from typing import TYPE_CHECKING

import numpy as np
from etils import epath

from beam_jobs import storage
from beam_jobs.audio import ogg

if TYPE_CHECKING:
    import av
    import soundfile

# A header is believed until less than this share of what it promises comes out, and codecs may pad or trim this much.
_HEADER_SHARE = 0.9
_CODEC_SLACK_S = 0.1
# A file this little longer than a segment is that segment, with the padding of its codec.
_SEGMENT_SLACK_S = 1.0
# libsndfile's log of a WAV or AIFF that ends before its header says; sizes from here on stand for "unknown" (a pipe).
_CUT_SHORT = re.compile(r"^ *(?:data|SSND) : (\d+) \(should be (\d+)\)", re.MULTILINE)
_UNKNOWN_SIZE = 0x7FFF0000
# Its log of an MP3 without a Xing header, whose length it guesses from size and first frame: wrong if the rate varies.
_GUESSED_LENGTH = re.compile(r"^ *bitrate mode +: constant", re.MULTILINE)
_BLOCK = 2**20  # samples
_LOWEST_RATE = 1000  # Hz; no sound has less, and a kilobyte that claims 1 Hz would be resampled to hours
# The formats whose duration FFmpeg takes from a header; that of the others it may guess from the bit rate.
_FORMATS_WITH_LENGTH = ("aiff", "flac", "matroska", "mov", "wav")
_DURATION_TAG = re.compile(r"(\d+):(\d+):(\d+(?:\.\d+)?)$")


class DecodeError(Exception):
    """A file that cannot be used.

    Attributes:
        cause: One of "missing", "unreadable", "truncated", "too short", "silent", "non-finite", "timed out" and
            "crashed", to count by.
    """

    def __init__(self, cause: str, message: str):
        super().__init__(message)
        self.cause = cause


@dataclasses.dataclass(frozen=True, kw_only=True)
class Sound:
    """What was read: mono `samples` float32 (samples,), the `rate` in Hz, and the `codec`, as in "wav/pcm_16"."""

    samples: np.ndarray
    rate: int
    codec: str


def fetch(path: epath.PathLike, *, timeout_s: float | None = None) -> str | bytes:
    """What `read` takes: a local path as it is, a remote file as its bytes.

    Raises:
        DecodeError: if the remote file is missing, unreadable, or not there after `timeout_s` seconds.
    """
    name = os.fspath(path)
    if not storage.is_remote(name):
        return name
    fetched: queue.SimpleQueue[bytes | Exception] = queue.SimpleQueue()

    def download() -> None:
        try:
            fetched.put(epath.Path(path).read_bytes())
        except Exception as error:
            fetched.put(error)

    # A daemon, because nothing can end a client that hangs; it is left behind.
    threading.Thread(target=download, name=f"fetch {name}", daemon=True).start()
    try:
        content = fetched.get(timeout=timeout_s)
    except queue.Empty:
        raise DecodeError("timed out", f"not fetched after {timeout_s:g} s") from None
    if isinstance(content, FileNotFoundError):
        raise DecodeError("missing", "no such file") from content
    if isinstance(content, Exception):
        raise DecodeError("unreadable", f"{type(content).__name__}: {content}") from content
    return content


def read(source: str | bytes, *, start_s: float = 0.0, end_s: float | None = None, unless_whole: bool = False) -> Sound:
    """Reads a file, or a segment of it.

    Args:
        source: From `fetch`, or the bytes of a file.
        start_s: Where the segment begins, in seconds.
        end_s: Where it ends; None for the end of the file.
        unless_whole: Read all of a file that is hardly longer than the segment: it holds the segment alone.

    Raises:
        DecodeError: if the file is missing, unreadable, or ends well before its header says.
    """
    import soundfile

    _check_readable(source)
    window = _Window(start_s, end_s, unless_whole)
    try:
        with soundfile.SoundFile(_opened(source)) as file:
            return _read_sndfile(file, window, source=source)
    except (soundfile.SoundFileError, RuntimeError, MemoryError, ValueError) as error:
        refused = getattr(error, "error_string", str(error))  # without the path, which the caller knows
    return _read_av(source, window, refused=refused)


@dataclasses.dataclass(frozen=True)
class _Window:
    start_s: float
    end_s: float | None
    unless_whole: bool

    def of(self, length_s: float) -> tuple[float, float]:
        """(start, end) of what to read, given the length that the header promises."""
        if self.end_s is None:
            return self.start_s, length_s
        if self.unless_whole and length_s <= self.end_s - self.start_s + _SEGMENT_SLACK_S:
            return 0.0, length_s
        return self.start_s, min(self.end_s, length_s)

    @property
    def needed_s(self) -> float:
        """Of a recording that is longer than this, the rest makes no difference."""
        if self.end_s is None:
            return np.inf
        whole_s = self.end_s - self.start_s + _SEGMENT_SLACK_S if self.unless_whole else 0.0
        return max(self.end_s, whole_s)


def _read_sndfile(file: "soundfile.SoundFile", window: _Window, *, source: str | bytes) -> Sound:
    rate = file.samplerate
    _check_rate(rate)
    promised_s = _promised_frames(file, source) / rate
    start_s, end_s = window.of(promised_s)
    start = min(round(start_s * rate), file.frames)
    file.seek(start)
    samples = _read_mono(file, max(0, round(end_s * rate) - start))
    _check_length(samples.size / rate, promised_s=end_s - start_s)
    if file.format == "OGG" and end_s >= promised_s:
        _check_ogg(source, seconds=promised_s, granules_a_second=48000 if file.subtype == "OPUS" else rate)
    return Sound(samples=samples, rate=rate, codec=f"{file.format}/{file.subtype}".lower())


def _read_mono(file: "soundfile.SoundFile", frames: int) -> np.ndarray:
    """Up to so many samples; block by block, so that all channels of an hours-long recording never lie in memory."""
    samples, filled = np.empty(frames, np.float32), 0
    while filled < frames:
        block = file.read(min(_BLOCK, frames - filled), dtype="float32", always_2d=True)
        if not len(block):
            break
        samples[filled : filled + len(block)] = _mono(block, axis=1)
        filled += len(block)
    return samples[:filled]


def _promised_frames(file: "soundfile.SoundFile", source: str | bytes) -> float:
    """How many samples there should be.

    Raises:
        ValueError: if libsndfile takes an MP3 for shorter than it is, and so cannot read its end.
    """
    if cut := _CUT_SHORT.search(file.extra_info):
        promised, there = int(cut[1]), int(cut[2])
        if there < promised < _UNKNOWN_SIZE:
            return file.frames * promised / max(1, there)
    if file.format == "MP3" and _GUESSED_LENGTH.search(file.extra_info):
        counted = _counted_frames(source)
        if counted > file.frames + _CODEC_SLACK_S * file.samplerate:
            raise ValueError("longer than its first frame makes it seem")
        return counted or file.frames
    return file.frames


def _counted_frames(source: str | bytes) -> float:
    """How many samples the packets of a file hold, without decoding them; 0 if FFmpeg cannot tell."""
    import av

    try:
        with av.open(_opened(source)) as container:
            stream = container.streams.audio[0]
            ticks = sum(packet.duration or 0 for packet in container.demux(stream))
            return float(ticks * stream.time_base * stream.rate)
    except (av.FFmpegError, IndexError):
        return 0.0


def _read_av(source: str | bytes, window: _Window, *, refused: str) -> Sound:
    import av

    damage: Exception | None = None
    blocks, decoded = [], 0
    try:
        with av.open(_opened(source)) as container:
            if not container.streams.audio:
                raise DecodeError("unreadable", "holds no audio stream")
            stream, format_name = container.streams.audio[0], container.format.name.split(",")[0]
            rate, codec = stream.rate, f"{format_name}/{stream.codec_context.name}"
            promised_s = _promised_s(container, stream) if format_name in _FORMATS_WITH_LENGTH else None
            to_float = av.AudioResampler(format="fltp")
            try:
                for frame in container.decode(stream):
                    blocks += [_mono(block.to_ndarray(), axis=0) for block in to_float.resample(frame)]
                    decoded += frame.samples
                    if decoded > window.needed_s * rate:
                        break
            except (av.FFmpegError, ValueError) as error:
                damage = error
    except (av.FFmpegError, ValueError, IndexError) as error:
        raise _unreadable(refused, error) from error
    if not blocks:
        raise _unreadable(refused, damage) if damage else DecodeError("too short", "no sample")
    _check_rate(rate)
    samples = np.concatenate(blocks)
    decoded_s = samples.size / rate
    if damage and format_name == "mp3":  # often it is rubbish behind the last packet, and how many there are is known
        promised_s = _counted_frames(source) / rate or None
    if damage and promised_s is None and decoded_s < (window.end_s or np.inf):
        raise _unreadable(refused, damage)
    start_s, end_s = window.of(max(decoded_s, promised_s or 0.0))
    part = samples[round(start_s * rate) : round(end_s * rate)]
    _check_length(part.size / rate, promised_s=end_s - start_s)
    if format_name == "ogg" and end_s >= decoded_s:
        _check_ogg(source, seconds=decoded_s, granules_a_second=rate)
    return Sound(samples=part, rate=rate, codec=codec)


def _promised_s(container: "av.container.InputContainer", stream: "av.AudioStream") -> float | None:
    """How many seconds of audio the header promises, which may be less than it does of the pictures beside it."""
    import av

    if stream.duration:
        return float(stream.duration * stream.time_base)
    for name, value in stream.metadata.items():
        # Matroska tells when each stream ends in a tag, which some programs mark with a language ("DURATION-eng").
        if name.startswith("DURATION") and (tag := _DURATION_TAG.match(value)):
            end_s = 3600 * int(tag[1]) + 60 * int(tag[2]) + float(tag[3])
            return end_s - max(0.0, float((stream.start_time or 0) * stream.time_base))
    # That of the longest stream, so it tells nothing of one among several.
    return container.duration / av.time_base if container.duration and len(container.streams) == 1 else None


def _mono(block: np.ndarray, *, axis: int) -> np.ndarray:
    return block.mean(axis=axis) if block.shape[axis] > 1 else block.squeeze(axis)


def _unreadable(refused: str, error: Exception) -> DecodeError:
    return DecodeError("unreadable", f"{refused} / {getattr(error, 'strerror', error)}")


def _check_rate(rate: int) -> None:
    if rate < _LOWEST_RATE:
        raise DecodeError("unreadable", f"claims {rate:,} samples a second, fewer than {_LOWEST_RATE:,}; no sound does")


def _check_length(seconds: float, *, promised_s: float) -> None:
    if promised_s - seconds > max(_CODEC_SLACK_S, (1 - _HEADER_SHARE) * promised_s):
        raise DecodeError("truncated", f"holds {seconds:.2f} s of the {promised_s:.2f} s that its header promises")


def _check_ogg(source: str | bytes, *, seconds: float, granules_a_second: int) -> None:
    """Refuses an Ogg file that breaks off; of one whose very last page is damaged, the page tells how much is lost."""
    if (cut := ogg.cut_page(source)) is None:
        return
    if not cut.is_last:
        raise DecodeError("truncated", f"breaks off after {seconds:.2f} s, before its last page")
    _check_length(seconds, promised_s=cut.granule / granules_a_second)


def _check_readable(source: str | bytes) -> None:
    """Tells a missing file from a damaged one, which the decoders do not."""
    if isinstance(source, str):
        try:
            with open(source, "rb"):
                pass
        except FileNotFoundError as error:
            raise DecodeError("missing", "no such file") from error
        except OSError as error:
            raise DecodeError("unreadable", str(error)) from error


def _opened(source: str | bytes) -> str | io.BytesIO:
    return source if isinstance(source, str) else io.BytesIO(source)
