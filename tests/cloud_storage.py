"""A service that answers Google's client for Cloud Storage: requests of `beam_jobs.conditional_writes` and listing."""

import contextlib
import http.server
import json
import re
import threading
import urllib.parse

_OBJECT = re.compile(r"/b/(?P<bucket>[^/]+)/o(/(?P<name>[^/?]+))?")


class Service(http.server.ThreadingHTTPServer):
    """Keeps objects in memory.

    Attributes:
        objects: "bucket/name" -> (generation, content).
        before_upload: Called before each upload, e.g. to upload something else first.
    """

    daemon_threads = True

    def __init__(self):
        super().__init__(("127.0.0.1", 0), _Handler)
        self.objects = {}
        self.before_upload = lambda: None
        self._generations = iter(range(1, 1000))
        self._lock = threading.Lock()

    def put(self, name, content, *, generation=None):
        """Stores an object, unless the stored one has another generation (0: unless there is one)."""
        with self._lock:
            if generation is not None and self.objects.get(name, (0, b""))[0] != generation:
                return None
            self.objects[name] = (next(self._generations), content)
            return self.objects[name][0]

    @contextlib.contextmanager
    def running(self):
        """Yields the URL of the service."""
        threading.Thread(target=self.serve_forever, daemon=True).start()
        try:
            yield f"http://127.0.0.1:{self.server_port}"
        finally:
            self.shutdown()


class _Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        name, query = self._request()
        if "/" not in name:
            self._answer(200, json.dumps({"items": self._listing(name, prefix=query.get("prefix", ""))}).encode())
            return
        generation, content = self.server.objects.get(name, (0, None))
        if content is None:
            self._answer(404, b"{}")
        elif int(query.get("ifGenerationMatch", generation)) != generation:
            self._answer(412, b"{}")
        elif query.get("alt") == "media":
            self._answer(200, content)
        else:
            self._answer(200, json.dumps({"name": name.partition("/")[2], "generation": str(generation)}).encode())

    def do_POST(self):
        name, query = self._request()
        boundary = re.search("boundary=['\"]?([^'\";]+)", self.headers["Content-Type"])[1].encode()
        _, metadata, media, _ = self.rfile.read(int(self.headers["Content-Length"])).split(b"--" + boundary)
        name += "/" + json.loads(metadata.partition(b"\r\n\r\n")[2])["name"]
        self.server.before_upload()
        expected = query.get("ifGenerationMatch")
        content = media.partition(b"\r\n\r\n")[2].removesuffix(b"\r\n")
        generation = self.server.put(name, content, generation=None if expected is None else int(expected))
        self._answer(*((412, b"{}") if generation is None else (200, b"{}")))

    def _listing(self, bucket, *, prefix):
        start = f"{bucket}/{prefix}"
        objects = {name: content for name, (_, content) in self.server.objects.items() if name.startswith(start)}
        return [{"name": name.partition("/")[2], "size": str(len(objects[name]))} for name in objects]

    def log_message(self, *arguments):
        pass

    def _request(self):
        parts = urllib.parse.urlsplit(self.path)
        found = _OBJECT.search(parts.path)
        name = found["bucket"] + ("/" + urllib.parse.unquote(found["name"]) if found["name"] else "")
        return name, dict(urllib.parse.parse_qsl(parts.query))

    def _answer(self, status, body):
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)
