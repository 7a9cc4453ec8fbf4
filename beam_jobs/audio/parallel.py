"""Decodes files in several processes, ahead of who embeds them, and hands them on in order."""

import collections
import concurrent.futures
import os
import threading
from collections.abc import Iterable, Iterator
from typing import Protocol, TypeVar

from beam_jobs import audio
from beam_jobs.audio import readers
from beam_jobs.audio.decoders_of_threads import DecodersOfThreads
from beam_jobs.audio.spool import Spool

RULES = audio.Rules(timeout_s=60.0)
# Decoding takes 0.1 GiB for files of any length, and more for a few rare ones.
_DECODER_BYTES = 4 * 2**30
_MOST_PROCESSES = 8
# So many files are waiting or being decoded, which is enough for a batch of files of one window each.
_FILES_AHEAD = 64
# While so much decoded sound waits, none but the next file is begun. A recording of more than 4 minutes goes to the
# temporary folder.
_BYTES_AHEAD = 2**25
_SPOOL_BYTES = 2**23


class Recorded(Protocol):
    """What is decoded; see `beam_jobs.sources.Clip`, which is one, for what the attributes mean."""

    @property
    def path(self) -> str: ...

    @property
    def start_s(self) -> float | None: ...

    @property
    def end_s(self) -> float | None: ...

    @property
    def trimmed(self) -> bool | None: ...


Clip = TypeVar("Clip", bound=Recorded)


class Decoders:
    """Decodes clips in several child processes. Close it, or use it as a context manager.

    Args:
        sample_rate: Rate to resample to, in Hz.
        processes: Their number; None for half the cores, which leaves the others to the model.
    """

    def __init__(self, *, sample_rate: int, processes: int | None = None):
        cores = len(os.sched_getaffinity(0))
        self._threads = concurrent.futures.ThreadPoolExecutor(
            processes or min(_MOST_PROCESSES, max(2, cores // 2)), thread_name_prefix="decode"
        )
        self._sample_rate = sample_rate
        self._decoders = DecodersOfThreads(rules=RULES, memory_bytes=_DECODER_BYTES)
        self._changed = threading.Condition()
        self._bytes = 0
        self._next = 0
        self._is_closed = False

    def __enter__(self) -> "Decoders":
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        with self._changed:
            self._is_closed = True
            self._changed.notify_all()
        if kind is not None:  # Nobody needs the files that are being decoded, and they may be long.
            self._decoders.stop()
        # A process that is asked to stop does not wait for files that are being fetched.
        wait = kind is None or issubclass(kind, Exception)
        self._threads.shutdown(wait=wait, cancel_futures=True)
        if wait:
            self._decoders.close()

    def decode(self, clips: Iterable[Clip]) -> Iterator[tuple[Clip, Spool | audio.DecodeError]]:
        """Yields every clip with its sound, or with the error if it cannot be decoded, in order.

        A sound is closed when the next one is asked for. Call it once at a time.

        Args:
            clips: Each with the place of its file as `path`.
        """
        self._next = 0
        waiting: collections.deque[tuple[Clip, concurrent.futures.Future]] = collections.deque()
        for number, clip in enumerate(clips):
            waiting.append((clip, self._threads.submit(self._decode_in_turn, clip, number)))
            if len(waiting) == _FILES_AHEAD:
                yield from self._take(*waiting.popleft())
        while waiting:
            yield from self._take(*waiting.popleft())

    def _take(self, clip: Clip, future: concurrent.futures.Future) -> Iterator[tuple[Clip, Spool | audio.DecodeError]]:
        sound = future.result()
        try:
            yield clip, sound
        finally:
            with self._changed:
                self._next += 1
                if isinstance(sound, Spool):
                    self._bytes -= sound.nbytes
                    sound.close()
                self._changed.notify_all()

    def _decode_in_turn(self, clip: Recorded, number: int) -> Spool | audio.DecodeError | None:
        """Decodes a clip when there is room for it, or when it is the next one that is needed."""
        with self._changed:
            self._changed.wait_for(lambda: self._is_closed or self._bytes < _BYTES_AHEAD or number == self._next)
            if self._is_closed:
                return None
        sound = self._decode(clip)
        if isinstance(sound, Spool):
            with self._changed:
                self._bytes += sound.nbytes
        return sound

    def _decode(self, clip: Recorded) -> Spool | audio.DecodeError:
        spool = Spool(bytes_in_memory=_SPOOL_BYTES)
        try:
            source = readers.fetch(clip.path, timeout_s=RULES.timeout_s)
            decoder = self._decoders.get(self._sample_rate)
            spool.start_s = decoder.decode_file(
                source, spool, start_s=clip.start_s, end_s=clip.end_s, trimmed=clip.trimmed
            )
            return spool
        except audio.DecodeError as error:
            spool.close()
            return error
