"""`diptych client`, with the server of `diptych serve` and with TensorFlow Serving's gRPC service."""

import contextlib
import http.server
import json
import threading

import numpy as np
import pytest

from components.errors import UserError
from pipeline import cli
from pipeline.serving.client.grpc_calls import GrpcServer
from pipeline.serving.client.rest import RestServer
from tests import corpora
from tests.pipeline.refusals import refusal
from tests.pipeline.serving.client import stub
from tests.pipeline.serving.server import tiny_model
from tests.pipeline.serving.server.running import running


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    return tiny_model.write(tmp_path_factory.mktemp("models") / "7")


@pytest.fixture(scope="module")
def rest(model):
    with running(model.parent) as server:
        yield server.url


@pytest.fixture(scope="module")
def grpc_server(model):
    with stub.running(model) as found:
        yield found


@pytest.fixture(scope="module")
def sounds(tmp_path_factory):
    """Sounds shorter and longer than a window, and a file that is none."""
    folder = tmp_path_factory.mktemp("sounds") / "in"
    for i in range(5):
        corpora.write_tone(folder / f"{i}.wav", seconds=0.1 + 0.4 * i, hertz=300.0 * (i + 1))
    (folder / "none.wav").write_bytes(b"no sound")
    return folder


def rows(path):
    with np.load(path) as content:
        return dict(content)


def test_a_batch_that_is_too_large_for_the_server_says_how_to_send_less(capsys, model, sounds, tmp_path):
    with running(model.parent, body_bytes=100_000) as server:
        flags = ["--server", server.url, "--output", str(tmp_path / "out.npz"), str(sounds)]
        said = refusal(capsys, "client", *flags)
        assert "takes no request of this size (The body has more than 100,000 bytes" in said
        assert "give a smaller --batch-size" in said
        assert cli.main(["client", *flags, "--batch-size", "1"]) == 0


@pytest.mark.parametrize(("way", "flags"), [("rest", []), ("grpc", ["--windows"])])
def test_it_writes_what_embed_writes(model, rest, grpc_server, sounds, tmp_path, way, flags):
    server = ["--server", rest] if way == "rest" else ["--server", grpc_server[0], "--info", str(model)]
    assert cli.main(["embed", "--model", str(model), "--output", str(tmp_path / "a.npz"), *flags, str(sounds)]) == 0
    assert cli.main(["client", *server, "--output", str(tmp_path / "b.npz"), *flags, str(sounds)]) == 0
    here, there = rows(tmp_path / "a.npz"), rows(tmp_path / "b.npz")
    assert set(here) == set(there)
    for name, values in here.items():
        if values.dtype.kind == "f":
            np.testing.assert_allclose(values, there[name], rtol=1e-5, atol=1e-4)
        else:
            np.testing.assert_array_equal(values, there[name])
    quarantined = [(tmp_path / f"{name}.quarantined.csv").read_text() for name in "ab"]
    assert quarantined[0] == quarantined[1]


def test_both_ways_find_the_version_and_say_what_they_know(model, rest, grpc_server):
    by_rest, by_grpc = RestServer(rest, name="diptych"), GrpcServer(grpc_server[0], name="diptych")
    assert by_rest.newest_version() == by_grpc.newest_version() == 7
    described = by_rest.described(7)
    assert (described.framing.window_samples, described.framing.hop_samples) == (tiny_model.WINDOW, tiny_model.HOP)
    assert described.dims == tiny_model.DIMS
    assert by_grpc.described(7) is None


def test_grpc_tries_again_when_the_server_is_full(grpc_server):
    url, service = grpc_server
    service.refusals, before = 1, service.calls
    outputs = GrpcServer(url, name="diptych").predict(np.zeros((2, 100), np.float32), version=7)
    assert outputs["embedding"].shape == (2, 5)
    assert service.calls - before == 2


@contextlib.contextmanager
def answering(*answers):
    """Yields the client of a server that gives these answers, each a status and a document, to its first requests.

    A document of bytes is sent as it is.
    """
    left = list(answers)

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_POST(self):
            self.rfile.read(int(self.headers["content-length"]))
            self.do_GET()

        def do_GET(self):
            status, document = left.pop(0)
            body = document if isinstance(document, bytes) else json.dumps(document).encode()
            self.send_response(status)
            if status == 429:
                self.send_header("retry-after", "0")
            self.send_header("content-length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_):
            pass

    with http.server.HTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield RestServer(f"http://127.0.0.1:{server.server_port}", name="diptych")
        finally:
            server.shutdown()
            thread.join()
    assert not left


def test_rest_tries_again_when_the_server_is_full():
    with answering((429, {"error": "full"}), (200, {"outputs": [[1.0, 2.0]]})) as server:
        outputs = server.predict(np.zeros((1, 10), np.float32), version=1)
    np.testing.assert_array_equal(outputs["embedding"], [[1.0, 2.0]])


INFO = {"sample_rate": 16000, "crop_samples": 16000, "stride_samples": 8000, "dims": {"log_mel": 2}}


@pytest.mark.parametrize(
    ("ask", "document"),
    [
        *((RestServer.newest_version, document) for document in ({}, [], "x", {"model_spec": {"version": "abc"}})),
        *(
            (lambda server: server.described(1), {"metadata": metadata})
            for metadata in ([], {"embedding_info": {}}, {"embedding_info": {**INFO, "dims": [2]}})
        ),
        (lambda server: server.described(1), {"metadata": {"embedding_info": {**INFO, "sample_rate": "high"}}}),
        *(
            (lambda server: server.predict(np.zeros((1, 10), np.float32), version=1), document)
            for document in ({}, {"outputs": 3}, {"outputs": [[1.0], [1.0, 2.0]]}, {"outputs": {"log_mel": [["x"]]}})
        ),
    ],
)
def test_an_answer_of_another_form_is_said(ask, document):
    message = "refuses: its answer has another form than TensorFlow Serving's: ask it"
    with answering((200, document)) as server, pytest.raises(UserError, match=message):
        ask(server)


@pytest.mark.parametrize(
    ("status", "message"),
    [
        (413, r"takes no request of this size \(its answer with status 413 is not JSON\): give a smaller --batch-size"),
        (404, "refuses: its answer with status 404 is not JSON: ask it"),
    ],
)
def test_the_refusal_of_a_proxy_says_the_same(status, message):
    """A proxy before the server answers with a page."""
    with answering((status, b"<html>")) as server, pytest.raises(UserError, match=message):
        server.predict(np.zeros((1, 10), np.float32), version=1)


def test_an_error_of_another_form_is_said():
    with answering((500, ["x"])) as server, pytest.raises(UserError, match="refuses: it answers with status 500: ask"):
        server.newest_version()


@pytest.mark.parametrize(
    ("server", "flags", "message"),
    [
        ("nonsense", [], "is no address: give http://HOST:PORT for REST"),
        ("ftp://host", [], "is no address"),
        ("http://127.0.0.1:1", [], "--server http://127.0.0.1:1 does not answer (Connection refused): start it"),
        ("REST", ["--name", "other"], "refuses: There is no model other: this server has diptych"),
        ("REST", ["--model-version", "3"], "refuses: Version 3 of diptych is not served"),
        ("REST", ["--model-version", "0"], "refuses: Version 0 of diptych is not served"),
        ("REST", ["--model-version", "-1"], "--model-version -1: versions are 0 or more"),
        ("GRPC", ["--name", "other", "--info", "MODEL"], "refuses: Servable not found for request: Latest(other)"),
        ("GRPC", [], "does not tell the model's sample rate and windows: give the SavedModel"),
        ("GRPC", ["--info", "/nowhere"], "--info /nowhere is not a SavedModel from Diptych"),
        ("REST", ["--max-quarantine", "x"], "--max-quarantine x is not a share"),
    ],
)
def test_what_is_wrong_is_said_in_a_sentence(
    capsys, monkeypatch, model, rest, grpc_server, sounds, tmp_path, server, flags, message
):
    monkeypatch.setattr("pipeline.serving.client.rest._RETRIES", 0)
    url = {"REST": rest, "GRPC": grpc_server[0]}.get(server, server)
    flags = [str(model) if flag == "MODEL" else flag for flag in flags]
    output = tmp_path / "out.npz"
    said = refusal(capsys, "client", "--server", url, *flags, "--output", output, sounds / "0.wav")
    assert message in said
    assert not output.exists()
