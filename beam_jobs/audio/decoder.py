"""Decodes in a child process, which may hang or die of a file without taking the job along."""

import contextlib
import dataclasses
import json
import os
import pathlib
import select
import signal
import subprocess
import sys
import time
import weakref

import numpy as np

from beam_jobs import audio
from beam_jobs.audio import decoder_process

_START_S = 120.0
# An hour of 44.1 kHz takes 1.3 GB, so this is six hours in one file; without a bound, one odd file takes the machine.
_MEMORY_BYTES = 8 * 2**30
_PIPE_BYTES = 2**20  # the most that Linux gives without privileges: a clip of 10 s takes one write


class Decoder:
    """One child process, started with the first clip and started anew when a clip was its end. For one thread.

    Args:
        sample_rate: To resample to, in Hz.
        rules: To judge clips by.
    """

    def __init__(self, *, sample_rate: int, rules: audio.Rules):
        self._sample_rate = sample_rate
        self._rules = rules
        self._child: subprocess.Popen | None = None
        self._finalizer: weakref.finalize | None = None

    def decode(
        self,
        source: str | bytes,
        *,
        start_s: float | None = None,
        end_s: float | None = None,
        trimmed: bool | None = None,
    ) -> audio.Decoded:
        """See `audio.decode_clip`.

        Raises:
            DecodeError: as there, and with the causes "timed out" and "crashed".
        """
        request = {
            "path": source if isinstance(source, str) else None,
            "sample_rate": self._sample_rate,
            "rules": dataclasses.asdict(self._rules),
            "segment": {"start_s": start_s, "end_s": end_s, "trimmed": trimmed},
        }
        payload = b"" if isinstance(source, str) else source
        try:
            reply, samples = self._ask(request, payload)
        except EOFError:
            # Whoever killed it may not have meant this clip (the kernel, short of memory): it gets a second try.
            try:
                reply, samples = self._ask(request, payload)
            except EOFError as error:
                raise audio.DecodeError("crashed", f"the decoder died of it twice: {error}") from error
        if "cause" in reply:
            raise audio.DecodeError(reply["cause"], reply["message"])
        return audio.Decoded(samples=samples, rate=reply["rate"], codec=reply["codec"])

    def close(self) -> None:
        """Ends the child."""
        if self._finalizer is not None:
            self._finalizer()
        self._child = self._finalizer = None

    def _ask(self, request: dict[str, object], payload: bytes) -> tuple[dict, np.ndarray]:
        child = self._child or self._start()
        deadline = time.monotonic() + self._rules.timeout_s
        try:
            decoder_process.send(child.stdin, request, payload)
            header_size, size = decoder_process.LENGTHS.unpack(_read(child, decoder_process.LENGTHS.size, deadline))
            reply = json.loads(bytes(_read(child, header_size, deadline)))
            return reply, np.frombuffer(_read(child, size, deadline), np.int16)
        except TimeoutError:
            self.close()
            raise audio.DecodeError("timed out", f"no result after {self._rules.timeout_s:g} s") from None
        except (EOFError, BrokenPipeError):
            status = child.wait()
            self.close()
            raise EOFError(signal.strsignal(-status) if status < 0 else f"exit status {status}") from None

    def _start(self) -> subprocess.Popen:
        # Not multiprocessing: that would import the job's main module, which on a worker is Beam's.
        folder = str(pathlib.Path(__file__).parents[2])
        path = os.pathsep.join(filter(None, [folder, os.environ.get("PYTHONPATH")]))
        child = subprocess.Popen(
            [sys.executable, "-m", decoder_process.__name__, str(_MEMORY_BYTES)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env={**os.environ, "PYTHONPATH": path},
        )
        self._child, self._finalizer = child, weakref.finalize(self, _end, child)
        with contextlib.suppress(OSError, AttributeError, ImportError):
            import fcntl

            fcntl.fcntl(child.stdout, fcntl.F_SETPIPE_SZ, _PIPE_BYTES)
        try:
            _read(child, len(decoder_process.READY), time.monotonic() + _START_S)
        except (EOFError, TimeoutError) as error:
            self.close()
            raise RuntimeError("the decoder process does not start; its own message is above") from error
        return child


def _read(child: subprocess.Popen, size: int, deadline: float) -> memoryview:
    """Reads `size` bytes, or raises TimeoutError or EOFError."""
    buffer = memoryview(bytearray(size))
    ready = select.poll()
    ready.register(child.stdout, select.POLLIN)
    filled = 0
    while filled < size:
        if not ready.poll(max(0.0, deadline - time.monotonic()) * 1000):
            raise TimeoutError
        count = os.readv(child.stdout.fileno(), [buffer[filled:]])
        if not count:
            raise EOFError
        filled += count
    return buffer


def _end(child: subprocess.Popen) -> None:
    child.kill()
    child.wait()
    for pipe in (child.stdin, child.stdout):
        with contextlib.suppress(BrokenPipeError):
            pipe.close()
