"""Runs servers in this process, on a port of their own, and asks them."""

import contextlib
import os
import re
import shutil
import socket
import threading
import urllib.parse

import requests

from components import embedding_info
from pipeline.serving.server import run
from pipeline.serving.server.limits import Limits
from tests.processes import wait_until

PREDICT, INFER = "/v1/models/diptych:predict", "/v2/models/diptych/infer"


@contextlib.contextmanager
def running(model, *, index=None, host="127.0.0.1", **limits):
    """Yields a server that answers, and ends it."""
    settings = run.Settings(model=str(model), index=index and str(index), host=host, limits=Limits(**limits))
    with run.prepared(settings) as server:
        thread = threading.Thread(target=server.run)
        thread.start()
        try:
            wait_until(lambda: server.started or not thread.is_alive())
            yield server
        finally:
            server.should_exit = server.force_exit = True
            thread.join()


def ask(server, path, document=None, **parameters):
    """Gets a path, or posts a document to it, and returns the answer."""
    method = "POST" if document is not None or "data" in parameters else "GET"
    return requests.request(method, server.url + path, json=document, timeout=60, **parameters)


def error_of(answer, *, status):
    """Returns the sentence of an answer that refuses."""
    assert answer.status_code == status, answer.text
    (message,) = answer.json().values()
    assert message.endswith((".", "]")), message
    return message


def metric(server, name):
    """Returns the value of one of Prometheus' metrics."""
    return float(re.search(rf"^{re.escape(name)} (\S+)$", ask(server, "/metrics").text, re.MULTILINE)[1])


def connect(server, *, buffer_bytes=None):
    """Returns an open connection to a server.

    Of an answer that is not read, the system keeps about `buffer_bytes`; None for its own choice.
    """
    address = urllib.parse.urlsplit(server.url)
    connection = socket.socket()
    connection.settimeout(30)
    if buffer_bytes:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, buffer_bytes)
    connection.connect((address.hostname, address.port))
    return connection


def begin(server, *, length=1000, body=b"{"):
    """Opens a connection and sends the head and a part of the body of a request that is never finished."""
    connection = connect(server)
    head = f"POST {PREDICT} HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: {length}\r\n\r\n"
    connection.sendall(head.encode() + body)
    return connection


@contextlib.contextmanager
def version_that_loads(folder, *, like):
    """Adds a version like another one, and yields when its load has begun, which goes on until it fails at the end."""
    version = folder / str(like + 1)
    shutil.copytree(folder / str(like), folder / "copy")
    (folder / "copy" / embedding_info.FILE).unlink()
    os.mkfifo(folder / "copy" / embedding_info.FILE)
    (folder / "copy").rename(version)
    opened = []

    def is_read():
        with contextlib.suppress(OSError):  # ENXIO: nobody reads it yet.
            opened.append(os.open(version / embedding_info.FILE, os.O_WRONLY | os.O_NONBLOCK))
        return bool(opened)

    wait_until(is_read)
    try:
        yield
    finally:
        os.close(opened[0])
