"""Decoder processes that jobs hand on, because starting one takes longer than decoding the few clips of a test."""

import os
import subprocess
import threading

from beam_jobs.audio import decoder


class KeptDecoders:
    """Idle decoder processes, by what they were started with."""

    def __init__(self):
        self._idle: list[tuple[object, subprocess.Popen]] = []
        self._lock = threading.Lock()

    def take(self, key: object) -> subprocess.Popen | None:
        with self._lock:
            for index, (its_key, child) in enumerate(self._idle):
                if its_key == key:
                    del self._idle[index]
                    return child
        return None

    def keep(self, key: object, child: subprocess.Popen) -> None:
        with self._lock:
            self._idle.append((key, child))

    def close(self) -> None:
        for _, child in self._idle:
            decoder._kill(child)


def decoder_class(kept: KeptDecoders) -> type[decoder.Decoder]:
    """Returns a `Decoder` that takes an idle process, and leaves its own there if it is idle, too."""

    class Decoder(decoder.Decoder):
        _is_idle = True

        def _ask(self, *args, **options):
            self._is_idle = False
            answer = super()._ask(*args, **options)
            self._is_idle = True
            return answer

        def _start(self):
            child = kept.take(self._key())
            if child is None:
                return super()._start()
            self._child, self._finalizer = child, decoder.weakref.finalize(self, decoder._kill, child)
            return child

        def close(self):
            if self._child is not None and self._is_idle and self._child.poll() is None:
                self._finalizer.detach()
                kept.keep(self._key(), self._child)
                self._child = self._finalizer = None
            else:
                super().close()

        def _key(self):
            return os.getcwd(), self._memory_bytes

    return Decoder
