"""The child process of `beam_jobs.audio.decoder`: decodes one clip per request.

Requests on standard input and replies on standard output alike: two lengths, a JSON header, a payload. Started as
`python -m beam_jobs.audio.decoder_process BYTES`, the memory it may take; it imports neither TensorFlow nor Beam.
"""

import contextlib
import json
import os
import select
import signal
import struct
import sys
import threading
from typing import BinaryIO

import numpy as np

from beam_jobs import audio

LENGTHS = struct.Struct("<IQ")
READY = b"ready\n"


def send(pipe: BinaryIO, header: dict[str, object], payload: bytes | memoryview = b"") -> None:
    """Writes one message."""
    text = json.dumps(header).encode()
    pipe.write(LENGTHS.pack(len(text), len(payload)) + text)
    pipe.write(payload)
    pipe.flush()


def main(*, memory_bytes: int) -> None:
    """Answers until standard input closes; a clip that takes more memory is "crashed"."""
    import av  # noqa: F401 (so that the first clip does not pay for it)
    import soundfile  # noqa: F401
    import soxr  # noqa: F401

    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the parent to act on
    requests, replies = sys.stdin.buffer, os.fdopen(os.dup(1), "wb")
    os.write(1, READY)
    # The decoders print warnings about every damaged file.
    silence = os.open(os.devnull, os.O_WRONLY)
    os.dup2(silence, 1)
    os.dup2(silence, 2)
    threading.Thread(target=_die_with_parent, daemon=True).start()
    _bound_memory(memory_bytes)
    while lengths := requests.read(LENGTHS.size):
        header_size, payload_size = LENGTHS.unpack(lengths)
        request = json.loads(requests.read(header_size))
        payload = requests.read(payload_size)
        signal.alarm(int(request["rules"]["timeout_s"]) + 2)  # should the parent be gone, or the watch below blocked
        reply, samples = _answer(request, payload)
        signal.alarm(0)
        send(replies, reply, memoryview(samples).cast("B"))


def _answer(request: dict, payload: bytes) -> tuple[dict[str, object], np.ndarray]:
    source = payload if request["path"] is None else request["path"]
    rules = audio.Rules(**request["rules"])
    try:
        clip = audio.decode_clip(source, sample_rate=request["sample_rate"], rules=rules, **request["segment"])
    except audio.DecodeError as error:
        return {"cause": error.cause, "message": str(error)}, np.zeros(0, np.int16)
    except MemoryError:
        return {"cause": "crashed", "message": "too long to decode at once; cut it into pieces"}, np.zeros(0, np.int16)
    except Exception as error:
        return {"cause": "crashed", "message": f"{type(error).__name__}: {error}"}, np.zeros(0, np.int16)
    return {"rate": clip.rate, "codec": clip.codec}, clip.samples


def _bound_memory(size: int) -> None:
    """Bounds what is allocated from here on: with many cores, the libraries alone have reserved gigabytes by now."""
    with contextlib.suppress(ImportError, OSError, ValueError):  # not everywhere: then without
        import resource

        with open("/proc/self/statm") as file:
            size += int(file.read().split()[0]) * resource.getpagesize()
        _, hard = resource.getrlimit(resource.RLIMIT_AS)
        resource.setrlimit(resource.RLIMIT_AS, (size if hard == resource.RLIM_INFINITY else min(size, hard), hard))


def _die_with_parent() -> None:
    """Ends a decoder that hangs when its parent has been killed."""
    hangup = select.poll()
    hangup.register(0, 0)
    hangup.poll()
    os._exit(0)


if __name__ == "__main__":
    main(memory_bytes=int(sys.argv[1]))
