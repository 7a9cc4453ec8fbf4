"""Decodes clips in a child process, so that a file that makes the decoder hang or crash does not stop the job."""

import contextlib
import dataclasses
import fcntl
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
from beam_jobs.audio.decoder_process import Reply, Request, SegmentFields
from beam_jobs.audio.sound import Source
from beam_jobs.audio.spool import Spool

_START_S = 120.0
# An hour at 44.1 kHz takes 1.3 GB, so this is enough for six hours. Without a limit, one odd file could use up the
# memory of the machine.
_MEMORY_BYTES = 8 * 2**30
# The most that Linux grants without privileges. A clip of 10 s then takes a single write.
_PIPE_BYTES = 2**20
# The C library gives the memory of each clip back to the kernel, which then clears it for the next clip: a seventh of
# the time. With these settings of glibc the child keeps up to 64 MiB.
_KEPT_MEMORY = {"MALLOC_MMAP_THRESHOLD_": str(2**25), "MALLOC_TRIM_THRESHOLD_": str(2**26)}
# With `-m`, Python would look for modules in the current folder first, which may be full of the files of strangers.
_PROGRAM = (
    "import sys; sys.path[:] = filter(None, sys.path); "
    f"from {decoder_process.__name__} import main; main(memory_bytes=int(sys.argv[1]))"
)


class _ChildDiedError(Exception):
    """The child process ended before it answered; the message says how."""


class Decoder:
    """Decodes clips in one child process.

    The child starts with the first clip, and stays for the next one, also after one that does not decode. It is ended
    after a crash, a timeout, Ctrl-C or any other error that cuts its reply, and the next clip starts another one. A
    decoder must not be shared between threads. A forked process starts a child of its own.

    Args:
        sample_rate: Rate to resample to, in Hz.
        rules: The limits that clips must meet.
        memory_bytes: How much memory decoding may allocate; by default 8 GiB.
    """

    def __init__(self, *, sample_rate: int, rules: audio.Rules, memory_bytes: int | None = None):
        self._sample_rate = sample_rate
        self._rules = rules
        self._memory_bytes = memory_bytes or _MEMORY_BYTES
        self._child: subprocess.Popen | None = None
        self._owner = 0
        self._finalizer: weakref.finalize | None = None
        self._is_stopped = False

    def decode(
        self,
        source: Source,
        *,
        start_s: float | None = None,
        end_s: float | None = None,
        trimmed: bool | None = None,
    ) -> audio.Decoded:
        """Decodes one clip; see `audio.decode_clip`.

        Raises:
            DecodeError: as `audio.decode_clip` does, and with the causes "timed out" and "crashed".
        """
        segment: SegmentFields = {"start_s": start_s, "end_s": end_s, "trimmed": trimmed}
        reply, samples = self._ask_twice(source, segment)
        return audio.Decoded(samples=samples, rate=reply["rate"], codec=reply["codec"])

    def decode_file(
        self,
        source: Source,
        spool: Spool,
        *,
        start_s: float | None = None,
        end_s: float | None = None,
        trimmed: bool | None = None,
    ) -> float:
        """Decodes a file, or a segment, to the samples that `audio.decode_file` returns, and appends them to a spool.

        Memory does not grow with the length of the file. Of the rules only `timeout_s` counts: a file is given up if no
        portion arrives in that time, or if decoding takes so much longer than it would take to listen.

        Args:
            source: A local path or the content of a file, as `readers.fetch` returns it.
            spool: An empty spool. After an error it may hold some samples.
            start_s: See `audio.decode_clip`, also for the other two.
            end_s: See there.
            trimmed: See there.

        Returns:
            Where the samples begin in the file, in seconds: 0 if a file that may be trimmed is read as a whole.

        Raises:
            DecodeError: as `audio.decode_file` does, and with the causes "too long", "timed out" and "crashed".
        """
        segment: SegmentFields = {"start_s": start_s, "end_s": end_s, "trimmed": trimmed}
        reply, _ = self._ask_twice(source, segment, spool=spool)
        return reply["start_s"]

    def stop(self) -> None:
        """Makes what another thread is decoding fail at once with a DecodeError, and so all that comes later."""
        self._is_stopped = True
        child = self._child
        if child is not None and self._owner == os.getpid():
            child.kill()

    def close(self) -> None:
        """Ends the child process."""
        finalizer, self._finalizer, self._child = self._finalizer, None, None
        if finalizer is not None:
            finalizer()

    def _ask_twice(
        self, source: Source, segment: SegmentFields, *, spool: Spool | None = None
    ) -> tuple[Reply, np.ndarray]:
        """Asks the child, and asks another one if it dies. Returns the last reply, unless that is an error."""
        path, content = (source, b"") if isinstance(source, str) else (None, source)
        request: Request = {
            "path": path,
            "sample_rate": self._sample_rate,
            "rules": dataclasses.asdict(self._rules),
            "segment": segment,
            "in_portions": spool is not None,
        }
        try:
            reply, samples = self._ask(request, content, spool=spool)
        except _ChildDiedError:
            # Perhaps the clip is not to blame, e.g. if the kernel was short of memory. It gets a second try.
            reply, samples = self._ask_again(request, content, spool=spool)
        if "cause" in reply:
            raise audio.DecodeError(reply["cause"], reply["message"], transient=reply["transient"])
        return reply, samples

    def _ask_again(self, request: Request, content: bytes, *, spool: Spool | None) -> tuple[Reply, np.ndarray]:
        try:
            return self._ask(request, content, spool=spool)
        except _ChildDiedError as error:
            raise audio.DecodeError("crashed", f"the decoder crashed twice on it: {error}", transient=True) from error

    def _ask(self, request: Request, content: bytes, *, spool: Spool | None) -> tuple[Reply, np.ndarray]:
        """Sends one request to the child, and returns its last reply with the decoded samples.

        If that raises an error, the child has ended: what it has yet to send would be taken for the next reply.

        Raises:
            _ChildDiedError: The child ended by itself.
            DecodeError: It timed out, the spool is full, or the decoder was stopped.
        """
        self._check_goes_on()
        child = self._child if self._child is not None and self._owner == os.getpid() else self._start()
        self._check_goes_on()  # It may have been stopped while the child started.
        patience_s = self._rules.timeout_s
        deadline = latest = time.monotonic() + patience_s
        try:
            decoder_process.send(child.stdin, request, content)
            while True:
                reply, samples = _receive(child, deadline=deadline)
                portion = reply.get("portion")
                if portion is None:
                    return reply, samples
                if portion == "begin":
                    spool.clear()
                spool.append(samples)
                latest += samples.size / self._sample_rate
                deadline = min(time.monotonic() + patience_s, latest)
        except TimeoutError:
            self.close()
            raise audio.DecodeError("timed out", f"no result after {patience_s:g} s", transient=True) from None
        except (EOFError, BrokenPipeError):
            died = self._bury(child)
            self._check_goes_on()
            raise died from None
        except BaseException:  # The child goes on, e.g. if the spool is full, or after Ctrl-C.
            self.close()
            raise

    def _check_goes_on(self) -> None:
        """Ends the child and raises a DecodeError if the decoder was stopped."""
        if self._is_stopped:
            self.close()
            raise audio.DecodeError("crashed", "the decoder was stopped", transient=True)

    def _bury(self, child: subprocess.Popen) -> _ChildDiedError:
        """Returns how a child ended that has closed its output."""
        status = child.wait()
        self.close()
        return _ChildDiedError(signal.strsignal(-status) if status < 0 else f"exit status {status}")

    def _start(self) -> subprocess.Popen:
        """Ends the child, if there is one, and starts another. It is kept for the next clip once it is ready."""
        self.close()
        # `multiprocessing` would import the main module of the job, which on a worker is Beam's.
        folder = str(pathlib.Path(__file__).parents[2])
        path = os.pathsep.join(filter(None, [folder, os.environ.get("PYTHONPATH")]))
        child = subprocess.Popen(
            [sys.executable, "-c", _PROGRAM, str(self._memory_bytes)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env={**_KEPT_MEMORY, **os.environ, "PYTHONPATH": path},
        )
        self._owner = os.getpid()
        self._finalizer = weakref.finalize(self, _kill, child, owner=self._owner)
        # macOS has no F_SETPIPE_SZ, and Linux may refuse it. Smaller pipes are only slower.
        with contextlib.suppress(OSError, AttributeError):
            fcntl.fcntl(child.stdout, fcntl.F_SETPIPE_SZ, _PIPE_BYTES)
        try:
            _read(child, len(decoder_process.READY), deadline=time.monotonic() + _START_S)
        except EOFError as error:
            died = self._bury(child)
            if child.returncode < 0:  # E.g. killed by the kernel, which was short of memory.
                raise died from None
            raise RuntimeError("the decoder process does not start; its own message is above") from error
        except TimeoutError as error:
            self.close()
            raise RuntimeError(f"the decoder process does not start within {_START_S:g} s") from error
        except BaseException:
            self.close()
            raise
        self._child = child
        return child


def _receive(child: subprocess.Popen, *, deadline: float) -> tuple[Reply, np.ndarray]:
    """Reads one reply with its samples; see `_read`."""
    lengths = _read(child, decoder_process.LENGTHS.size, deadline=deadline)
    header_size, payload_size = decoder_process.LENGTHS.unpack(lengths)
    reply: Reply = json.loads(bytes(_read(child, header_size, deadline=deadline)))
    return reply, np.frombuffer(_read(child, payload_size, deadline=deadline), np.int16)


def _read(child: subprocess.Popen, size: int, *, deadline: float) -> memoryview:
    """Reads `size` bytes of the child's output.

    Args:
        child: The child process.
        size: Number of bytes.
        deadline: The latest time, as `time.monotonic` counts.

    Raises:
        TimeoutError: if the deadline passes.
        EOFError: if the output ends before `size` bytes.
    """
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


def _kill(child: subprocess.Popen, *, owner: int) -> None:
    pipes = child.stdin, child.stdout
    if owner != os.getpid():
        # This process was forked from the one that uses the child. What lies in its copies of the buffers is not sent.
        for pipe in pipes:
            pipe.raw.close()
        return
    child.kill()
    child.wait()
    for pipe in pipes:
        with contextlib.suppress(BrokenPipeError):
            pipe.close()
