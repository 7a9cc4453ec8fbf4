"""Which errors are worth another try."""

import concurrent.futures
import errno
import http.client
import io
import socket
import urllib.error

import pytest
import requests
import tensorflow as tf
import urllib3
from google.auth import exceptions as auth

from components import file_errors, passing_errors
from components.errors import DamagedFile, UserError


def raised_from(error, cause):
    try:
        raise error from cause
    except type(error) as chained:
        return chained


def http_error(status):
    return urllib.error.HTTPError("http://x", status, "", {}, io.BytesIO())


def op_error(kind, text):
    return kind(None, None, text)


BEAM = "Traceback (most recent call last):\n  File ...\n{}\n\nDuring handling of the above exception, ..."

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
    "google, no answer": auth.TransportError("x"),
    "a bucket": op_error(tf.errors.UnavailableError, "gs://b/x: HTTP response code 503"),
    "a bucket that is slow": op_error(tf.errors.DeadlineExceededError, "curl error: timeout"),
    "a network file system": OSError(errno.ESTALE, "Stale file handle", "/nfs/x"),
    "a Beam worker": RuntimeError(BEAM.format("google.api_core.exceptions.ServiceUnavailable: 503 [while running]")),
    "a Beam worker, reset": RuntimeError(BEAM.format("ConnectionResetError: [Errno 104] Connection reset by peer")),
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
    "refused credentials": auth.RefreshError("x"),
    "a bucket that refuses": op_error(tf.errors.PermissionDeniedError, "gs://b/x: 403"),
    "a lost device": op_error(tf.errors.UnavailableError, "Socket closed on /job:worker"),
    "a Beam worker with a bug": RuntimeError(BEAM.format("ValueError: a TimeoutError was expected")),
    "a text with such a word": RuntimeError("ConnectionError: x"),
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
