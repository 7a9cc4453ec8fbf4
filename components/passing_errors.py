"""Tells errors that may pass by themselves, of networks, services, file systems and workers, from all others."""

import concurrent.futures
import http.client
import re
import socket
from collections.abc import Mapping

from beam_jobs.worker_code import OtherCodeError
from components import file_errors
from components.errors import DamagedFile

_BY_PACKAGE: Mapping[str, frozenset[str]] = {
    "beam_jobs": frozenset({"WorkerDiedError"}),
    "google": frozenset({"ServerError", "TooManyRequests", "RetryError", "TransportError"}),
    "requests": frozenset({"ConnectionError", "Timeout", "ChunkedEncodingError"}),
    "urllib3": frozenset({"ProtocolError", "TimeoutError", "MaxRetryError"}),
    "aiohttp": frozenset({"ClientConnectionError", "ClientPayloadError", "ServerTimeoutError"}),
}
"""Package -> names of its classes, because importing these packages takes seconds and some come with an extra."""

_STATUSES = frozenset({408, 429, 500, 502, 503, 504})
"""HTTP statuses that ask for another try."""

_RPC_CODES = frozenset({"UNAVAILABLE", "DEADLINE_EXCEEDED", "ABORTED"})

_SETTINGS = frozenset({"SSLError", "ProxyError"})
"""Classes of `requests` that are connection errors by name, and settings to correct unless their cause is one."""

_LASTING = re.compile(r"CERTIFICATE_VERIFY_FAILED|WRONG_VERSION_NUMBER|Tunnel connection failed: 4\d\d")
"""Texts of the `ssl` module and of `http.client` for a certificate or a proxy that is not as it should be."""

# MySQL's numbers for a server that does not answer, or that has closed the connection.
_LOST_DATABASE = re.compile(r"Lost connection to MySQL|MySQL server has gone away|Can't connect to .*MySQL server")

# A Beam job raises RuntimeError with the text of what a worker raised. The line with the class follows the frames. What
# was handled on the way comes before it.
_HANDLED = "During handling of the above exception, another exception occurred:"
_IN_TRACEBACKS = re.compile(
    r"^[\w.]*\b(ServiceUnavailable|TooManyRequests|InternalServerError|BadGateway|GatewayTimeout|DeadlineExceeded"
    r"|RetryError|TransportError|UnavailableError|DeadlineExceededError|Connection(Reset|Refused|Aborted)?Error"
    r"|(Connect|Read)?Timeout(Error)?|ChunkedEncodingError|ProtocolError|RemoteDisconnected|IncompleteRead)\b[:\s\[]",
    re.MULTILINE,
)


def may_pass(error: BaseException) -> bool:
    """Returns whether an error, or one that led to it, may pass by itself, so that another try makes sense.

    That is so for a service that does not answer or asks to try again later (429, 5xx), for lost connections, time-outs
    and names that are not resolved, for a network file system that is away, and for a worker process of a Beam job that
    has died. It is not so for what the user has to correct, such as missing permissions, a wrong certificate, a full
    disk or a wrong field, and for bugs.
    """
    if isinstance(error, DamagedFile):
        return False
    links = list(file_errors.chain(error))
    if any(isinstance(link, OtherCodeError) for link in links):  # Whatever else the service says of it.
        return False
    return any(map(_is_passing, links)) and not any(_LASTING.search(str(link)) for link in links)


def _is_passing(error: BaseException) -> bool:
    if file_errors.is_silence(error):
        return True
    if isinstance(error, BrokenPipeError):  # Between processes of this machine.
        return False
    if isinstance(error, ConnectionError | TimeoutError | concurrent.futures.TimeoutError | socket.gaierror):
        return True
    if isinstance(error, http.client.IncompleteRead):
        return True
    package = type(error).__module__.partition(".")[0]
    names = {base.__name__ for base in type(error).__mro__}
    if names & _BY_PACKAGE.get(package, frozenset()) and not (package == "requests" and names & _SETTINGS):
        return True
    if package == "ml_metadata" and _LOST_DATABASE.search(str(error)):
        return True
    reason = getattr(error, "reason", None)  # urllib wraps what a socket raised.
    if isinstance(reason, OSError) and _is_passing(reason):
        return True
    if isinstance(error, RuntimeError) and "Traceback" in str(error):
        return _IN_TRACEBACKS.search(str(error).rpartition(_HANDLED)[2]) is not None
    return _status(error) in _STATUSES or (package == "grpc" and _rpc_code(error) in _RPC_CODES)


def _status(error: BaseException) -> int | None:
    """Returns the HTTP status of an error of `urllib` or of a client library, or None."""
    status = getattr(error, "code", None) or getattr(error, "status_code", None)
    return status if isinstance(status, int) else None


def _rpc_code(error: BaseException) -> str:
    code = getattr(error, "code", None)
    return getattr(code(), "name", "") if callable(code) else ""
