"""Connections on which requests arrive slowly, without an end, or several at a time; and who may open how many."""

import asyncio
import contextlib
import http.client
import json
import resource
import socket
import time

import numpy as np
import pytest

from pipeline.serving.server import calls, connections
from tests.pipeline.serving.server.running import PREDICT, ask, begin, connect, metric, running
from tests.processes import wait_until

BODY = json.dumps({"instances": [[0.5, 0.25]]}).encode()
READ_S = 1.0


@pytest.fixture(scope="module")
def hasty(versions):
    """A server that gives each request a second to arrive."""
    with running(versions, read_s=READ_S) as server:
        yield server


def request(body=BODY):
    """Returns the bytes of a request."""
    return f"POST {PREDICT} HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: {len(body)}\r\n\r\n".encode() + body


def answer_of(connection):
    """Returns the next answer, with its body."""
    answer = http.client.HTTPResponse(connection)
    answer.begin()
    return answer, answer.read()


def answers_of(connection):
    """Yields status and body of each answer. One file reads them all, for it reads ahead."""
    with connection.makefile("rb") as file:
        while line := file.readline():
            headers = http.client.parse_headers(file)
            yield int(line.split()[1]), file.read(int(headers["content-length"]))


def received_until_closed(connection, *, sending=b"", every_s=0.2, within_s=30):
    """Returns what arrives until the server closes the connection, while something is sent now and then."""
    received = b""
    end = time.monotonic() + within_s
    connection.settimeout(every_s)
    try:
        while time.monotonic() < end:
            try:
                connection.sendall(sending)
                part = connection.recv(1000)
            except TimeoutError:
                continue
            if not part:
                return received
            received += part
    except (ConnectionResetError, BrokenPipeError):
        return received
    raise AssertionError("the server keeps the connection")


@pytest.mark.parametrize(
    "sent",
    [b"", b"POST /", b"POST / HT", request(b"{" + bytes(99))[:-99]],
    ids=["nothing", "a part of the path", "a part of the protocol", "a part of the body"],
)
def test_connections_that_send_slowly_are_closed(hasty, sent):
    started = time.monotonic()
    connection = connect(hasty)
    connection.sendall(sent)
    # A byte now and then does not help.
    assert received_until_closed(connection, sending=b"x" if sent else b"") == b""
    assert time.monotonic() - started >= 0.9 * READ_S
    wait_until(lambda: metric(hasty, "diptych_requests_in_progress") == 0)


def test_empty_lines_after_a_request_do_not_keep_a_connection_open(hasty):
    connection = connect(hasty)
    connection.sendall(request())
    assert answer_of(connection)[0].status == 200
    assert received_until_closed(connection, sending=b"\r\n")[:13] in (b"", b"HTTP/1.1 400 ")


@pytest.mark.parametrize(
    ("begins", "goes_on"),
    [
        (f"POST {PREDICT}?", "x"),
        (f"POST {PREDICT} HTTP/1.1\r\nX: ", "x"),
        (f"POST {PREDICT} HTTP/1.1\r\nHost: 127.0.0.1\r\n", "X: x\r\n"),
        (
            f"POST {PREDICT} HTTP/1.1\r\nHost: 127.0.0.1\r\nTransfer-Encoding: chunked\r\n\r\n1\r\n1\r\n0\r\n",
            "X: x\r\n",
        ),
    ],
    ids=["path", "header", "headers", "what follows the body"],
)
def test_a_head_without_an_end_is_refused(versions, begins, goes_on):
    with running(versions, read_s=3600.0) as server:
        connection = connect(server)
        connection.sendall(begins.encode())
        piece = goes_on.encode() * (2**14 // len(goes_on))
        received = received_until_closed(connection, sending=piece, every_s=0.001)
        assert not received or received.startswith(b"HTTP/1.1 400 ")
        wait_until(lambda: metric(server, "diptych_requests_in_progress") == 0)
        assert ask(server, PREDICT, data=BODY).status_code == 200


def test_a_body_in_many_small_chunks_is_read(server):
    body = BODY + b" " * 30_000  # Each byte takes six on the way.
    answer = ask(server, PREDICT, data=(bytes([byte]) for byte in body))
    assert answer.status_code == 200, answer.text


def test_several_requests_at_a_time_are_answered_in_order(server):
    clips = np.random.default_rng(5).uniform(-1, 1, (4, 1, 3000))
    bodies = [json.dumps({"inputs": clip.tolist()}).encode() for clip in clips]
    alone = [ask(server, PREDICT, data=body).json()["outputs"]["embedding"] for body in bodies]
    connection = connect(server)
    connection.sendall(b"".join(map(request, bodies)))
    answers = answers_of(connection)
    for expected in alone:
        status, content = next(answers)
        assert status == 200
        np.testing.assert_allclose(json.loads(content)["outputs"]["embedding"], expected, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize(
    "next_one",
    [b"", b"\r\n", b"POST /", b"}\r\n", b"nonsense\r\n\r\n"],
    ids=["nothing", "an empty line", "a part of a request", "a longer body than announced", "nonsense"],
)
def test_what_follows_does_not_cost_a_request_its_answer(versions, monkeypatch, next_one):
    call = calls.call

    async def slow(*given, **named):
        await asyncio.sleep(2 * READ_S)
        return await call(*given, **named)

    monkeypatch.setattr(calls, "call", slow)
    with running(versions, read_s=READ_S) as server:
        connection = connect(server)
        connection.sendall(request() + next_one)
        assert answer_of(connection)[0].status == 200


def test_a_request_that_is_refused_early_may_end_its_body(versions):
    with running(versions, body_bytes=1000) as server:
        connection = begin(server, length=2**20, body=b"")
        assert answer_of(connection)[0].status == 413
        for _ in range(16):
            connection.sendall(bytes(2**16))
        connection.sendall(request())
        assert answer_of(connection)[0].status == 200


def test_the_rest_of_a_refused_body_does_not_keep_a_connection_open(hasty):
    connection = begin(hasty, length=40 * 2**20, body=b"")
    assert answer_of(connection)[0].status == 413
    with contextlib.suppress(ConnectionResetError, BrokenPipeError):  # On a slow machine.
        connection.sendall(bytes(40 * 2**20))
    assert received_until_closed(connection) == b""


def test_the_rest_of_a_request_that_came_with_another_has_its_time_too(hasty):
    connection = connect(hasty)
    connection.sendall(request() + request()[:-3])
    assert answer_of(connection)[0].status == 200
    assert received_until_closed(connection) == b""


@pytest.mark.parametrize("protocol", ["h2c", "websocket"])
def test_an_offer_of_another_protocol_is_passed_over(server, protocol):
    head, body = request().split(b"\r\n\r\n")
    connection = connect(server)
    connection.sendall(head + f"\r\nConnection: Upgrade\r\nUpgrade: {protocol}\r\n\r\n".encode())
    time.sleep(0.1)
    connection.sendall(body)
    assert answer_of(connection)[0].status == 200


@pytest.mark.parametrize("ends", ["is paused", "has closed", "sends nonsense", "wants no other"])
def test_a_reader_that_stops_loses_its_connection(versions, ends):
    # The answer is more or less than the 64 KiB that asyncio holds by default.
    clips = 2000 if ends == "is paused" else 600
    with running(versions, answer_s=3.0) as server:
        server._listener.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 2**13)  # Its connections inherit it.
        connection = connect(server, buffer_bytes=2**12)
        whole = request(json.dumps({"inputs": [[0.5]] * clips}).encode())
        if ends == "wants no other":
            whole = whole.replace(b"\r\n", b"\r\nConnection: close\r\n", 1)
        connection.sendall(whole)
        connections = server.server_state.connections
        wait_until(lambda: any(one.transport.get_write_buffer_size() for one in list(connections)))
        if ends == "has closed":
            connection.shutdown(socket.SHUT_WR)
        elif ends == "sends nonsense":
            connection.sendall(b"nonsense\r\n\r\n")
        wait_until(lambda: server.admission.is_idle and not connections)
        connection.close()


def test_the_process_may_open_as_many_files_as_there_may_be_connections():
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    try:
        resource.setrlimit(resource.RLIMIT_NOFILE, (1024, before[1]))
        connections.allow(10)
        assert resource.getrlimit(resource.RLIMIT_NOFILE)[0] == 1024
        connections.allow(1024)
        assert 1024 + 100 < resource.getrlimit(resource.RLIMIT_NOFILE)[0] < 2048
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, before)


@pytest.mark.parametrize("host", ["::1", "localhost"])
def test_it_answers_at_the_address_that_it_prints_and_to_names_of_this_machine(versions, monkeypatch, host):
    try:
        socket.create_server(("::1", 0), family=socket.AF_INET6).close()
    except OSError:
        pytest.skip("This machine has no IPv6.")
    getaddrinfo = socket.getaddrinfo

    def resolve(name, *rest, **options):  # As on machines where localhost is ::1 first.
        return getaddrinfo("::1" if name == "localhost" else name, *rest, **options)

    monkeypatch.setattr(socket, "getaddrinfo", resolve)
    with running(versions, host=host) as server:
        assert server.url.startswith("http://[::1]:")
        assert ask(server, "/page/info").status_code == 200
        for name, status in {"localhost": 200, "evil.example": 400}.items():
            assert ask(server, "/page/info", headers={"host": name}).status_code == status
