"""A decoder for each thread, as a decoder must not be shared between threads."""

import threading
import weakref

from beam_jobs import audio
from beam_jobs.audio.decoder import Decoder


class DecodersOfThreads:
    """Makes a decoder for each thread that asks for one, and for each sample rate that it asks for.

    The child process of a decoder ends with its thread, with this object, or with the interpreter, if it is not closed
    before.

    Args:
        rules: See `Decoder`.
        memory_bytes: See `Decoder`.
    """

    def __init__(self, *, rules: audio.Rules, memory_bytes: int | None = None):
        self._rules, self._memory_bytes = rules, memory_bytes
        self._of_thread = threading.local()
        # Only the threads hold the decoders. Otherwise those of threads that have ended would stay.
        self._all: weakref.WeakSet[Decoder] = weakref.WeakSet()
        self._lock = threading.Lock()
        self._are_stopped = False

    def get(self, sample_rate: int) -> Decoder:
        """Returns the decoder of this thread for a sample rate, in Hz."""
        decoders = self._of_thread.__dict__.setdefault("decoders", {})
        if sample_rate not in decoders:
            decoders[sample_rate] = Decoder(sample_rate=sample_rate, rules=self._rules, memory_bytes=self._memory_bytes)
            with self._lock:
                self._all.add(decoders[sample_rate])
                if self._are_stopped:
                    decoders[sample_rate].stop()
        return decoders[sample_rate]

    def stop(self) -> None:
        """Makes what the threads are decoding fail at once, and so all that comes later; see `Decoder.stop`."""
        with self._lock:
            self._are_stopped = True
            for decoder in self._all:
                decoder.stop()

    def close(self) -> None:
        """Ends the child processes of all threads, none of which may be decoding."""
        with self._lock:
            decoders = list(self._all)
        for decoder in decoders:
            decoder.close()
