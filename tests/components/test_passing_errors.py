"""Which errors are worth another try."""

import concurrent.futures
import contextlib
import errno
import http.client
import importlib
import io
import socket
import ssl
import threading
import traceback
import urllib.error

import pytest
import requests
import tensorflow as tf
import urllib3

from beam_jobs.worker_code import OtherCodeError
from components import file_errors, passing_errors
from components.errors import DamagedFile, UserError


def raised_from(error, cause):
    try:
        raise error from cause
    except type(error) as chained:
        return chained


def of_package(module, name, text):
    """Returns an error of a package that comes with an extra, or one of that name where the package is missing."""
    try:
        kind = getattr(importlib.import_module(module), name)
    except ImportError:
        kind = type(name, (Exception,), {"__module__": module})
    return kind(text)


def http_error(status):
    return urllib.error.HTTPError("http://x", status, "", {}, io.BytesIO())


def op_error(kind, text):
    return kind(None, None, text)


def raised_by(url, **options):
    with pytest.raises(requests.RequestException) as raised:
        requests.get(url, timeout=10, **options)
    return raised.value


@contextlib.contextmanager
def server(status):
    """Yields the address of a server that gives one answer, without TLS."""

    def answer():
        with listening.accept()[0] as connection:
            connection.recv(4096)
            connection.sendall(f"HTTP/1.1 {status}\r\nContent-Length: 0\r\n\r\n".encode())

    with socket.create_server(("127.0.0.1", 0)) as listening:
        thread = threading.Thread(target=answer, daemon=True)
        thread.start()
        yield "{}:{}".format(*listening.getsockname())
        thread.join(timeout=10)


def of_refusing_proxy():
    with server("407 Proxy Authentication Required") as address:
        return raised_by("https://storage.invalid", proxies={"https": f"http://{address}"})


def of_https_without_tls():
    with server("400 Bad Request") as address:
        return raised_by(f"https://{address}")


def of_absent_proxy():
    with socket.create_server(("127.0.0.1", 0)) as closed:
        port = closed.getsockname()[1]
    return raised_by("https://storage.invalid", proxies={"https": f"http://127.0.0.1:{port}"})


def of_certificate():
    """Returns what a client of Google raises if the certificate is wrong, as after a wrong clock or behind a proxy."""
    wrong = ssl.SSLCertVerificationError(1, "[SSL: CERTIFICATE_VERIFY_FAILED] certificate verify failed")
    told = requests.exceptions.SSLError(urllib3.exceptions.MaxRetryError(None, "/", urllib3.exceptions.SSLError(wrong)))
    return raised_from(of_package("google.auth.exceptions", "TransportError", told), told)


def of_beam(*raised):
    """Returns what a Beam job raises if a worker raised errors, each while it handled the one before."""
    parts = []
    for error in raised:
        try:
            raise error
        except type(error):
            parts.append(traceback.format_exc())
    between = "\nDuring handling of the above exception, another exception occurred:\n\n"
    return RuntimeError(between.join(parts))


PASSING = {
    "a reset connection": ConnectionResetError(errno.ECONNRESET, "Connection reset by peer"),
    "a refused connection": ConnectionRefusedError(errno.ECONNREFUSED, "Connection refused"),
    "a time-out": TimeoutError("timed out"),
    "that of a future": concurrent.futures.TimeoutError(),
    "a name that is not resolved": socket.gaierror(socket.EAI_AGAIN, "Temporary failure in name resolution"),
    "an answer that was cut": http.client.IncompleteRead(b""),
    "urllib without a connection": urllib.error.URLError(ConnectionRefusedError(111, "refused")),
    "urllib, 503": http_error(503),
    "requests": requests.ConnectionError("x"),
    "requests, cut": requests.exceptions.ChunkedEncodingError("x"),
    "urllib3": urllib3.exceptions.MaxRetryError(None, "/", "x"),
    "google, no answer": of_package("google.auth.exceptions", "TransportError", "x"),
    "a bucket": op_error(tf.errors.UnavailableError, "gs://b/x: HTTP response code 503"),
    "a bucket that is slow": op_error(tf.errors.DeadlineExceededError, "curl error: timeout"),
    "a network file system": OSError(errno.ESTALE, "Stale file handle", "/nfs/x"),
    "a Beam worker": of_beam(
        KeyError("x"), of_package("google.api_core.exceptions", "ServiceUnavailable", "x [while running 'y']")
    ),
    "a Beam worker, reset": of_beam(ConnectionResetError(104, "Connection reset by peer")),
    "a database": of_package(
        "ml_metadata.errors", "InternalError", "mysql_query failed: Lost connection to MySQL server [2013]"
    ),
    "a proxy that is away": of_absent_proxy(),
    "what the user reads of it": raised_from(
        UserError("gs://b cannot be used"), op_error(tf.errors.UnavailableError, "gs://b: 503")
    ),
}

LASTING = {
    "a full disk": OSError(errno.ENOSPC, "No space left on device", "/x"),
    "no permission": PermissionError(errno.EACCES, "Permission denied", "/x"),
    "a missing file": FileNotFoundError(errno.ENOENT, "No such file", "/x"),
    "a pipe between processes": BrokenPipeError(errno.EPIPE, "Broken pipe"),
    "a wrong field": UserError("trainer.steps must be more than 0."),
    "a bug": ValueError("x"),
    "a bug on the way": raised_from(ValueError("x"), None),
    "urllib, 404": http_error(404),
    "requests, a wrong address": requests.exceptions.InvalidURL("x"),
    "refused credentials": of_package("google.auth.exceptions", "RefreshError", "x"),
    "a bucket that refuses": op_error(tf.errors.PermissionDeniedError, "gs://b/x: 403"),
    "a lost device": op_error(tf.errors.UnavailableError, "Socket closed on /job:worker"),
    "a Beam worker with a bug": of_beam(ValueError("a TimeoutError was expected")),
    "a Beam worker with a bug thereafter": of_beam(ConnectionResetError(104, "reset"), KeyError("x")),
    "a wrong certificate": of_certificate(),
    "a proxy that asks for a password": of_refusing_proxy(),
    "a server without TLS": of_https_without_tls(),
    "a database that refuses": of_package("ml_metadata.errors", "InternalError", "Access denied for user [1045]"),
    "a text with such a word": RuntimeError("ConnectionError: x"),
    "a Beam worker of other code": raised_from(
        OtherCodeError("another x"), of_beam(ConnectionResetError(104, "reset"))
    ),
    "a damaged file": raised_from(DamagedFile("x is damaged.", path="x"), ConnectionResetError()),
}


@pytest.mark.parametrize("name", PASSING)
def test_another_try_makes_sense(name):
    assert passing_errors.may_pass(PASSING[name])


@pytest.mark.parametrize("name", LASTING)
def test_another_try_makes_no_sense(name):
    assert not passing_errors.may_pass(LASTING[name])


def test_the_sentence_for_the_user_is_as_passing_as_its_cause():
    error = op_error(tf.errors.UnavailableError, "gs://b/x: HTTP response code 503")
    with pytest.raises(UserError) as told, file_errors.as_user_errors(place="gs://b"):
        raise error
    assert passing_errors.may_pass(told.value)
