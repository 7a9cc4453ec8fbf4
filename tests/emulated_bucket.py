"""Buckets on this machine for the real clients: an emulator of Cloud Storage, whose requests are counted and disturbed.

Google's client, Beam's and TensorFlow's send their requests to the proxy, from any process that has
`Service.environment`: Google's and Beam's because of STORAGE_EMULATOR_HOST, and TensorFlow's, which knows only Google's
addresses, because it takes the proxy for the way there and accepts its certificate.
"""

import http.client
import json
import os
import pathlib
import subprocess
import sys
import time
import types
from typing import NamedTuple

from tests import bucket_proxy

REPOSITORY = pathlib.Path(__file__).parents[1]


class Request(NamedTuple):
    """A request as a client has sent it.

    Attributes:
        method: E.g. "GET".
        path: Path and query.
        kind: What it is for: "list", "stat", "read", "upload", "copy", "patch", "delete" or "batch".
        client: "google", "beam" or "tensorflow".
        sent: Bytes of its content.
        received: Bytes of the content of its answer.
    """

    method: str
    path: str
    kind: str
    client: str
    sent: int
    received: int


class Service:
    """A process with buckets, of which one is called `bucket`.

    Args:
        folder: For its certificate.
        proxy: Name of the module to run.
    """

    def __init__(self, folder, *, proxy=bucket_proxy.__name__):
        self._folder = folder
        self._process = subprocess.Popen(
            [sys.executable, "-m", proxy, os.fspath(folder)],
            cwd=REPOSITORY,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        self._port = int(self._process.stdout.readline())

    @property
    def environment(self):
        """The variables of a process that uses the buckets."""
        url = f"http://127.0.0.1:{self._port}"
        return {
            "STORAGE_EMULATOR_HOST": url,
            "HTTPS_PROXY": url,
            "https_proxy": url,
            "NO_PROXY": "127.0.0.1,localhost",
            "no_proxy": "127.0.0.1,localhost",
            "CURL_CA_BUNDLE": os.fspath(self._folder / "certificate.pem"),
            "GOOGLE_AUTH_TOKEN_FOR_TESTING": "token",
            "NO_GCE_CHECK": "true",
            "GCS_RETRY_CONFIG_INIT_DELAY_TIME_US": "20000",
        }

    def requests(self, *, start=0):
        """Returns the requests since the last reset, but the first ones."""
        return [Request(**fields) for fields in self._control("requests", start)]

    def reset(self):
        """Empties the buckets, forgets the requests, and ends disturbances."""
        self._control("reset", None)

    def disturb(self, **faults):
        """Lets requests fail from now on. Without an argument, none.

        Args:
            faults: Some of these. A fault is a status; a number of seconds below 1 after which the connection is closed
                without an answer; or "silence": there is no answer until the client closes it.
                always: The fault of each request.
                first_tries: The fault of each request that is sent for the first time.
                every, answers: Each `every`-th request gets one of these faults in turn.
                lost: The kind of a request that is carried out, but is answered with 503.
                refused: The kind of the requests that get 403, "delete" also in batches.
                parts: The faults of the first requests with content of large files. Such a fault may also be a number
                    of bytes (at least 256 KiB): the connection is closed when so many have arrived.
                in_batches: The statuses of the first requests in batches.
        """
        self._control("disturb", faults)

    def limit_pages(self, files):
        """Lets a listing tell so many files at a time."""
        self._control("page", files)

    def stop(self):
        self._process.stdin.close()
        self._process.wait(20)
        self._process.stdout.close()

    def _control(self, action, content):
        connection = http.client.HTTPConnection("127.0.0.1", self._port, timeout=60)
        try:
            connection.request("POST", f"{bucket_proxy.CONTROL}/{action}", json.dumps(content))
            return json.loads(connection.getresponse().read())
        finally:
            connection.close()


def shorten_deadlines(monkeypatch, *, seconds):
    """Lets requests of Google's client, all of which must have a deadline, wait for an answer only so long."""
    # Imported here because it comes with the extra gcp.
    from requests import adapters

    send = adapters.HTTPAdapter.send

    def send_impatiently(adapter, request, **options):
        assert options["timeout"] is not None
        return send(adapter, request, **{**options, "timeout": seconds})

    monkeypatch.setattr(adapters.HTTPAdapter, "send", send_impatiently)


def hurry(monkeypatch):
    """Makes the pauses of Google's client between its tries short."""
    # Imported here because they come with the extra gcp.
    from google.api_core.retry import retry_unary
    from google.resumable_media.requests import _request_helpers

    clock = types.SimpleNamespace(monotonic=time.monotonic, sleep=lambda seconds: time.sleep(seconds / 100))
    for module in (retry_unary, _request_helpers):
        monkeypatch.setattr(module, "time", clock)
