"""Makes load for an HTTP server, in threads of this process, which sends what `tests.benchmarks.serving` asks for.

`python -m tests.benchmarks.load URL KIND SECONDS CLIENTS RATE SAMPLES` prints the figures as JSON. KIND is one of

    binary   one clip a request, as float32 after the JSON of KServe v2
    json     one clip a request, as numbers in TensorFlow Serving's REST API
    wav      one clip a request, as a WAV file in base64 there
    attack   bodies that are malformed or too large, and connections that send a byte a second

RATE is how many requests begin in a second, whether or not those before are answered; 0 for each client one after the
other, as fast as it gets answers.
"""

import base64
import collections
import dataclasses
import http.client
import io
import itertools
import json
import random
import socket
import sys
import threading
import time
import urllib.parse
from collections.abc import Callable, Mapping

import numpy as np
import soundfile

from tests.benchmarks.measuring import SAMPLE_RATE

INFER, PREDICT = "/v2/models/diptych/infer", "/v1/models/diptych:predict"
_TIMEOUT_S = 120
_LENGTH = "Inference-Header-Content-Length"


@dataclasses.dataclass(frozen=True)
class Request:
    """What to send."""

    path: str
    body: bytes
    headers: Mapping[str, str]


class Counts:
    """What came back. Its methods may be called from any thread."""

    def __init__(self):
        self._lock = threading.Lock()
        self.statuses: collections.Counter[str] = collections.Counter()
        self.latencies_s: list[float] = []

    def add(self, status: str, *, seconds: float) -> None:
        """Counts an answer; only good ones have a latency."""
        with self._lock:
            self.statuses[status] += 1
            if status == "200":
                self.latencies_s.append(seconds)

    def figures(self, *, seconds: float) -> dict[str, object]:
        """Returns the figures of all answers."""
        quantiles = np.quantile(self.latencies_s, [0.5, 0.99]) if self.latencies_s else (0.0, 0.0)
        return {
            "per_s": round(len(self.latencies_s) / seconds, 2),
            "p50_ms": round(1000 * quantiles[0], 1),
            "p99_ms": round(1000 * quantiles[1], 1),
            "statuses": dict(sorted(self.statuses.items())),
        }


def clip(kind: str, samples: int) -> Request:
    """Returns a request for one clip of noise."""
    audio = np.random.default_rng(0).normal(size=(1, samples)) / 8
    if kind == "wav":
        content = io.BytesIO()
        soundfile.write(content, audio[0], SAMPLE_RATE, format="WAV", subtype="PCM_16")
        files = [{"b64": base64.b64encode(content.getvalue()).decode()}]
        return Request(PREDICT, json.dumps({"signature_name": "wav_bytes", "instances": files}).encode(), {})
    if kind == "json":  # With five digits, about what 16 bits hold.
        return Request(PREDICT, json.dumps({"instances": audio.round(5).tolist()}).encode(), {})
    audio = audio.astype(np.float32)
    head = {
        "inputs": [
            {
                "name": "audio",
                "datatype": "FP32",
                "shape": [1, samples],
                "parameters": {"binary_data_size": audio.nbytes},
            }
        ],
        "outputs": [{"name": "embedding", "parameters": {"binary_data": True}}],
    }
    text = json.dumps(head).encode()
    return Request(INFER, text + audio.tobytes(), {_LENGTH: str(len(text))})


def run(
    url: str, next_request: Callable[[], Request], *, seconds: float, clients: int, rate: float = 0.0
) -> dict[str, object]:
    """Sends requests for some time and returns the figures.

    Args:
        url: The server.
        next_request: What to send next.
        seconds: How long to send.
        clients: How many threads send.
        rate: See the module.
    """
    counts, numbers, started = Counts(), itertools.count(), time.monotonic()

    def send_all() -> None:
        connection = _connection(url)
        while True:
            begins = started + next(numbers) / rate if rate else time.monotonic()
            if begins > started + seconds:
                break
            time.sleep(max(0.0, begins - time.monotonic()))
            if time.monotonic() > started + seconds:
                break
            begun = time.monotonic()
            status, connection = _send(url, connection, next_request())
            counts.add(status, seconds=time.monotonic() - begun)
        connection.close()

    threads = [threading.Thread(target=send_all) for _ in range(clients)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return {"seconds": seconds, "clients": clients, **counts.figures(seconds=time.monotonic() - started)}


def attack(url: str, *, seconds: float) -> dict[str, object]:
    """Sends nonsense for some time, while a hundred connections send one byte a second."""
    rng = random.Random(0)
    slow = [threading.Thread(target=_trickle, args=(url, seconds)) for _ in range(100)]
    for thread in slow:
        thread.start()
    figures = run(url, lambda: _nonsense(rng), seconds=seconds, clients=8)
    for thread in slow:
        thread.join()
    return figures


def _nonsense(rng: random.Random) -> Request:
    path = rng.choice([INFER, PREDICT, "/page/embed"])
    body = rng.choice(
        [
            lambda: rng.randbytes(rng.randrange(2000)),
            lambda: b'{"instances": [' + b"[1]," * rng.randrange(50_000) + b"[1]]}",
            lambda: b"[" * 100_000,
            lambda: b'{"instances": [[' + b"1e999," * 10_000 + b"0]]}",
            lambda: b'{"inputs": [{"name": "audio", "datatype": "FP32", "shape": [2147483647, 0], "data": []}]}',
            lambda: bytes(34 * 2**20),
        ]
    )()
    headers = {_LENGTH: str(rng.randrange(3000))} if rng.random() < 0.2 else {}
    return Request(path, body, headers)


def _trickle(url: str, seconds: float) -> None:
    address = urllib.parse.urlsplit(url)
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        try:
            with socket.create_connection((address.hostname, address.port), timeout=_TIMEOUT_S) as connection:
                connection.sendall(f"POST {PREDICT} HTTP/1.1\r\nHost: {address.netloc}\r\nX: ".encode())
                while time.monotonic() < end:
                    connection.sendall(b"x")
                    time.sleep(1)
        except OSError:  # The server has closed it.
            time.sleep(0.1)


def _connection(url: str) -> http.client.HTTPConnection:
    address = urllib.parse.urlsplit(url)
    return http.client.HTTPConnection(address.hostname, address.port, timeout=_TIMEOUT_S)


def _send(url: str, connection: http.client.HTTPConnection, request: Request) -> tuple[str, http.client.HTTPConnection]:
    """Returns the status of the answer, and a connection for the next request.

    Without an answer it is "refused" if nobody listens, and otherwise "lost".
    """
    is_reused = connection.sock is not None
    try:
        connection.request("POST", request.path, request.body, dict(request.headers))
        answer = connection.getresponse()
        answer.read()
        return str(answer.status), connection
    except ConnectionRefusedError:
        time.sleep(0.05)
        return "refused", _connection(url)
    except (OSError, http.client.HTTPException):
        status = _answered_early(connection)
        connection.close()
        if status == "lost" and is_reused:  # The server may close an idle connection at any time.
            return _send(url, _connection(url), request)
        return status, _connection(url)


def _answered_early(connection: http.client.HTTPConnection) -> str:
    """Returns the status of an answer that came before the body was sent, upon which the server closed."""
    try:
        answer = connection.sock.recv(2**16)
        return answer.split()[1].decode() if answer.startswith(b"HTTP/1.1 ") else "lost"
    except (OSError, AttributeError, IndexError):
        return "lost"


def main(url: str, kind: str, seconds: str, clients: str, rate: str, samples: str) -> None:
    """Makes load and prints the figures."""
    if kind == "attack":
        print(json.dumps(attack(url, seconds=float(seconds))))
        return
    request = clip(kind, int(samples))
    figures = run(url, lambda: request, seconds=float(seconds), clients=int(clients), rate=float(rate))
    print(json.dumps({**figures, "clients_processor_s": time.process_time()}))


if __name__ == "__main__":
    main(*sys.argv[1:])
