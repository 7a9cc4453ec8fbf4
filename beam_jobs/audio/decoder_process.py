"""The child process of `beam_jobs.audio.decoder`: decodes one clip per request, at once or in portions.

Requests arrive on standard input and replies leave on standard output. Both are messages of two lengths, a JSON header
and a payload. The payload of a request is the content of a file, or empty if the header has a path. The payload of a
reply is the decoded samples, int16. In portions, any number of replies with a `portion` precede the last one.

The process does not import TensorFlow or Beam.
"""

import contextlib
import json
import os
import resource
import select
import signal
import struct
import sys
import threading
from collections.abc import Callable, Mapping
from typing import BinaryIO, Literal, TypedDict

import numpy as np

from beam_jobs import audio
from beam_jobs.audio import portions
from beam_jobs.audio.sound import Segment

LENGTHS = struct.Struct("<IQ")
"""The lengths of a message's header and payload, in bytes."""

READY = b"ready\n"
"""What the process writes once it takes requests."""

_NO_SAMPLES = np.zeros(0, np.int16)


class SegmentFields(TypedDict):
    """The arguments of `audio.decode_clip` that say where the clip lies in its recording."""

    start_s: float | None
    end_s: float | None
    trimmed: bool | None


class Request(TypedDict):
    """The header of a request.

    `rules` are the fields of `audio.Rules`. What is decoded in portions, whatever its length, is not checked against
    them.
    """

    path: str | None
    sample_rate: int
    rules: Mapping[str, float | None]
    segment: SegmentFields
    in_portions: bool


class Reply(TypedDict, total=False):
    """The header of a reply.

    For a decoded clip it has `rate` and `codec`; for a portion `portion`, which is "begin" if those before do not
    count; for a DecodeError its fields. After the last portion it has `start_s`, where the first one begins in the
    file.
    """

    portion: Literal["begin", "more"]
    rate: int
    codec: str
    cause: str
    message: str
    transient: bool
    start_s: float


def send(pipe: BinaryIO, header: Request | Reply, payload: bytes | memoryview = b"") -> None:
    """Writes one message."""
    text = json.dumps(header).encode()
    pipe.write(LENGTHS.pack(len(text), len(payload)) + text)
    pipe.write(payload)
    pipe.flush()


def main(*, memory_bytes: int) -> None:
    """Answers requests until standard input closes.

    Args:
        memory_bytes: How much memory decoding may allocate. A clip that needs more is answered as "crashed".
    """
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # The parent handles Ctrl-C.
    requests = sys.stdin.buffer
    replies = os.fdopen(os.dup(1), "wb")
    # The decoding libraries print warnings about every damaged file. A parent that is gone by now is no news either.
    devnull = os.open(os.devnull, os.O_WRONLY)
    os.dup2(devnull, 2)
    os.write(1, READY)
    os.dup2(devnull, 1)
    threading.Thread(target=_exit_with_parent, daemon=True).start()
    _limit_memory(memory_bytes)
    while lengths := requests.read(LENGTHS.size):
        header_size, payload_size = LENGTHS.unpack(lengths)
        request: Request = json.loads(requests.read(header_size))
        payload = requests.read(payload_size)
        patience_s = int(request["rules"]["timeout_s"]) + 2

        def reply(header: Reply, samples: np.ndarray = _NO_SAMPLES, *, patience_s: int = patience_s) -> None:
            # The parent ends a decoder that hangs. If the parent is gone and the decoder holds the interpreter lock,
            # `_exit_with_parent` cannot run. Then the alarm ends the process.
            signal.alarm(patience_s)
            send(replies, header, memoryview(samples).cast("B"))

        signal.alarm(patience_s)
        reply(*_answer(request, payload, reply=reply), patience_s=0)


def _answer(request: Request, payload: bytes, *, reply: Callable[..., None]) -> tuple[Reply, np.ndarray]:
    """Decodes what is requested, and returns the last reply; `reply` sends those before."""
    source = payload if request["path"] is None else request["path"]
    rules = audio.Rules(**request["rules"])
    sample_rate, segment = request["sample_rate"], request["segment"]
    try:
        if request["in_portions"]:
            start_s = portions.decode_in_portions(
                source,
                Segment.listed(**segment),
                sample_rate=sample_rate,
                begin=lambda: reply({"portion": "begin"}),
                send=lambda samples: reply({"portion": "more"}, samples),
            )
            return {"start_s": start_s}, _NO_SAMPLES
        clip = audio.decode_clip(source, sample_rate=sample_rate, rules=rules, **segment)
    except audio.DecodeError as error:
        return {"cause": error.cause, "message": str(error), "transient": error.transient}, _NO_SAMPLES
    except MemoryError:
        # The limit is our own, so the file exceeds it each time.
        at_once = "too long to decode at once; cut it into pieces"
        message = "needs too much memory" if request["in_portions"] else at_once
        return {"cause": "crashed", "message": message, "transient": False}, _NO_SAMPLES
    except Exception as error:
        return {"cause": "crashed", "message": f"{type(error).__name__}: {error}", "transient": True}, _NO_SAMPLES
    return {"rate": clip.rate, "codec": clip.codec}, clip.samples


def _limit_memory(size: int) -> None:
    """Limits how many bytes the process may allocate beyond what it has reserved so far.

    On machines with many cores the libraries reserve gigabytes of address space when they are imported.
    """
    # Some systems have no /proc or do not allow the limit. Decoding then runs without one.
    with contextlib.suppress(OSError, ValueError):
        with open("/proc/self/statm") as file:
            pages = int(file.read().split()[0])
        soft = pages * resource.getpagesize() + size
        _, hard = resource.getrlimit(resource.RLIMIT_AS)
        if hard != resource.RLIM_INFINITY:
            soft = min(soft, hard)
        resource.setrlimit(resource.RLIMIT_AS, (soft, hard))


def _exit_with_parent() -> None:
    """Ends the process when its parent is killed, even while a file is being decoded."""
    hangup = select.poll()
    hangup.register(0, 0)  # An empty mask still reports that standard input was closed at the other end.
    hangup.poll()
    os._exit(0)
