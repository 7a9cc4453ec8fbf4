"""Decoders that jobs hand on, because starting one takes longer than decoding the few clips of a test."""

import os
import threading

from beam_jobs import audio
from beam_jobs.audio.decoder import Decoder


class KeptDecoders:
    """Idle decoders, by the folder that they were started in and their arguments."""

    def __init__(self):
        self._idle: list[tuple[object, Decoder]] = []
        self._lock = threading.Lock()

    def lend(self, **arguments) -> "LentDecoder":
        """Returns what takes the place of `Decoder(**arguments)`."""
        key = os.getcwd(), arguments
        with self._lock:
            for index, (its_key, decoder) in enumerate(self._idle):
                if its_key == key:
                    del self._idle[index]
                    return LentDecoder(self, key, decoder)
        return LentDecoder(self, key, Decoder(**arguments))

    def keep(self, key: object, decoder: Decoder) -> None:
        with self._lock:
            self._idle.append((key, decoder))

    def close(self) -> None:
        for _, decoder in self._idle:
            decoder.close()


class LentDecoder:
    """A decoder that is left to the next job, unless it was stopped at work."""

    def __init__(self, kept: KeptDecoders, key: object, decoder: Decoder):
        self._kept, self._key, self._decoder = kept, key, decoder
        self._is_idle = True

    def decode(self, *args, **options) -> audio.Decoded:
        self._is_idle = False
        try:
            decoded = self._decoder.decode(*args, **options)
        except audio.DecodeError:
            self._is_idle = True
            raise
        self._is_idle = True
        return decoded

    def close(self) -> None:
        decoder, self._decoder = self._decoder, None
        if decoder is not None and self._is_idle:
            self._kept.keep(self._key, decoder)
        elif decoder is not None:
            decoder.close()
