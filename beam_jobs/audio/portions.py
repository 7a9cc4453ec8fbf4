"""Decodes recordings of any length portion by portion, so that memory does not grow with the length."""

import dataclasses
from collections import Counter
from collections.abc import Callable

import numpy as np

from beam_jobs.audio import checks, decode, levels, readers, resample
from beam_jobs.audio.sound import DecodeError, Samples, Segment, Source

# A day and a little more. Without a limit, a file of a few megabytes could claim years of silence.
_LONGEST_S = 25 * 3600
# A portion has about this many samples before resampling. The blocks of codecs are much shorter.
_PORTION_SAMPLES = 2**18
# FFmpeg's reader keeps what it decodes for a segment. A shorter one is not decoded a second time for that reason.
_SHORT_SEGMENT_S = 600.0
_WHOLE_FILE = Segment()


def decode_in_portions(
    source: Source,
    segment: Segment = _WHOLE_FILE,
    *,
    sample_rate: int,
    begin: Callable[[], None],
    send: Callable[[np.ndarray], None],
) -> float:
    """Decodes a file, or a segment of it, to the samples that `audio.decode_file` returns, and passes on portions.

    Args:
        source: A path, or the content of a file.
        segment: What to read of it.
        sample_rate: Rate to resample to, in Hz.
        begin: Called when a decoder begins. What another one sent before it failed does not count.
        send: Called with each portion, int16 (samples,).

    Returns:
        Where the samples begin in the file, in seconds.

    Raises:
        DecodeError: as `audio.decode_file` does, possibly after some portions, and if the file holds more than 25 h.
    """
    source = readers.fetch(source) if isinstance(source, str) else source
    latest: _Portions | None = None
    peak = sent = 0

    def collect() -> Samples:
        nonlocal latest, peak, sent
        begin()
        latest, peak, sent = _Portions(sample_rate=sample_rate, send=pass_on), 0, 0
        return latest

    def pass_on(samples: np.ndarray) -> None:
        nonlocal peak, sent
        peak = max(peak, levels.peak(samples)) if samples.size else peak
        sent += samples.size
        send(samples)

    is_short = segment.end_s is not None and segment.end_s - segment.start_s <= _SHORT_SEGMENT_S
    sound = readers.read(source, segment if is_short else dataclasses.replace(segment, collect=collect))
    if not sound.samples.size:
        raise DecodeError("too short", f"no sample after {segment.start_s:g} s" if segment.start_s else "no sample")
    if latest is not None and latest.are_all_of(sound.samples):
        latest.finish()
    else:
        # Readers piece together the samples of rare files, such as several files that were joined, and keep them.
        begin()
        peak = sent = 0
        sound = sound if latest is None else readers.read(source, segment)
        pass_on(resample.to_int16(sound, sample_rate=sample_rate))
    if not sent:
        raise resample.shorter_than_a_sample(sample_rate)
    kept = sound.samples
    decode.check_phase(
        peak,
        mixed_peak=lambda: latest.peak if latest is not None and latest.are_all_of(kept) else float(np.abs(kept).max()),
        channel_peak=lambda: _channel_peak(source, segment),
    )
    return sound.start_s


def _channel_peak(source: Source, segment: Segment) -> float:
    """Returns the largest magnitude in the channels of a segment."""
    if segment.end_s is not None:
        return float(readers.read(source, segment, loudest=True).samples.max())
    peaks = [0.0]

    class Peaks(_Unkept):
        def append(self, block: np.ndarray, *, rate: int) -> None:
            self._count(block, rate=rate)
            peaks.append(float(block.max()))

    sound = readers.read(source, dataclasses.replace(segment, collect=Peaks), loudest=True)
    return max(*peaks, float(sound.samples.max()))


class _Unkept(Samples):
    """Counts samples."""

    def __init__(self):
        super().__init__()
        self._sizes: Counter[int] = Counter()

    def __len__(self) -> int:
        return sum(round(size * self.rate / rate) for rate, size in self._sizes.items())

    def _count(self, block: np.ndarray, *, rate: int) -> None:
        self._sizes[rate] += block.size
        self.rate = max(self.rate, rate)

    def join(self) -> np.ndarray:
        """Returns zeros that take no memory. The readers only look at the size."""
        return np.broadcast_to(np.float32(0), len(self))


class _Portions(_Unkept):
    """Resamples the samples of a reader and passes them on, instead of keeping them.

    Attributes:
        peak: The largest magnitude of what has been passed on, before resampling.
    """

    def __init__(self, *, sample_rate: int, send: Callable[[np.ndarray], None]):
        super().__init__()
        self._sample_rate = sample_rate
        self._send = send
        self._resampler: resample.Stream | None = None
        self._waiting = Samples()
        self.peak = 0.0

    def append(self, block: np.ndarray, *, rate: int) -> None:
        if self._resampler is None:
            checks.check_rate(rate)
            self._resampler = resample.Stream(rate, sample_rate=self._sample_rate)
        self._count(block, rate=rate)
        self._waiting.append(block, rate=rate)
        if len(self._waiting) >= _PORTION_SAMPLES:
            self._pass_on()
        if len(self) > _LONGEST_S * self.rate:
            raise DecodeError("too long", f"holds more than {_LONGEST_S // 3600} h of sound; cut it into pieces")

    def are_all_of(self, samples: np.ndarray) -> bool:
        """Returns whether the samples that a reader returns are `join` of all that it has collected."""
        return len(self._sizes) == 1 and samples.size == len(self) and samples.strides == (0,)

    def finish(self) -> None:
        """Passes on the rest."""
        self._pass_on(is_last=True)

    def _pass_on(self, *, is_last: bool = False) -> None:
        block, self._waiting = self._waiting.join(), Samples()
        if block.size:
            self.peak = max(self.peak, float(block.max()), -float(block.min()))
        self._send(self._resampler.add(block, is_last=is_last))
