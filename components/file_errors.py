"""Says in one sentence why files cannot be written or read: a full disk, missing permissions, a failing disk.

The same cause is reported in many ways: Python raises `OSError`, SQLite and ML Metadata errors of their own, TensorFlow
`tf.errors.OpError` with the path in its text, and Beam a `RuntimeError` with the text of what a worker raised.
"""

import contextlib
import dataclasses
import errno
import os
import re
from collections.abc import Iterator

from beam_jobs import error_text
from beam_jobs.remote_file import UrlError
from components.errors import UserError


@dataclasses.dataclass(frozen=True)
class _Cause:
    """What a user reads about an error number, and what helps."""

    text: str
    way_out: str


_FULL = "make room there, or give another folder, and run the same command again"
_FORBIDDEN = "give this user (uid {uid}) the right to read and write there, or give another folder"
_READ_ONLY = "mount it writable, or give another folder"
_FAILING = "check the disk or the connection to it, and run the same command again"
_NO_LOCKS = "give a folder on a local disk, or mount the file system with locks"

_CAUSES = {
    errno.ENOSPC: _Cause("no space left on the device", _FULL),
    errno.EDQUOT: _Cause("the disk quota is used up", _FULL),
    errno.EFBIG: _Cause("the file is larger than the file system or `ulimit -f` allows", "raise the limit"),
    errno.EROFS: _Cause("the file system is read-only", _READ_ONLY),
    errno.EACCES: _Cause("permission denied", _FORBIDDEN),
    errno.EPERM: _Cause("operation not permitted", _FORBIDDEN),
    errno.EIO: _Cause("input/output error", _FAILING),
    errno.ESTALE: _Cause("stale file handle", _FAILING),
    errno.ENOTCONN: _Cause("the file system is not connected", _FAILING),
    errno.ETIMEDOUT: _Cause("the file system does not answer", _FAILING),
    errno.ENOLCK: _Cause("the file system has no record locks", _NO_LOCKS),
    errno.EXDEV: _Cause("it is on another disk than the folder it belongs into", "put both on one disk"),
    errno.ENAMETOOLONG: _Cause("the name is too long", "give a folder with a shorter path"),
    errno.EMFILE: _Cause("too many open files", "raise `ulimit -n`"),
}

_ALSO_OTHERS = (errno.EACCES, errno.EPERM, errno.ENOTCONN, errno.ETIMEDOUT, errno.EIO)
"""Numbers that sockets, processes and closed terminals report, too. They are about a file if the error names one."""

_PHRASES = {
    # SQLite's words.
    "database or disk is full": _CAUSES[errno.ENOSPC],
    "readonly database": _Cause("it can only be read", _FORBIDDEN),
    "unable to open database file": _Cause("it cannot be opened", _FORBIDDEN),
    "disk i/o error": _CAUSES[errno.EIO],
    "locking protocol": _CAUSES[errno.ENOLCK],
    # Python's words.
    "no usable temporary directory": _Cause("there is no folder for temporary files", "set TMPDIR to one"),
    # The system's words.
    **{os.strerror(number).lower(): cause for number, cause in _CAUSES.items()},
}
"""Words in the text of an error, in lower case, that tell the cause."""

_REFUSED = _Cause(
    "the service refuses these credentials",
    "log in with `gcloud auth application-default login`, or give the account the right to read and write there",
)
_SILENT = _Cause("the service does not answer", "check the connection, and run the same command again")

_REMOTE_CAUSES = {
    # TensorFlow's errors.
    "PermissionDeniedError": _REFUSED,
    "UnauthenticatedError": _REFUSED,
    "UnavailableError": _SILENT,
    "DeadlineExceededError": _SILENT,
    "AbortedError": _SILENT,  # After its last retry.
    # Google's errors, the special ones first.
    "DefaultCredentialsError": _Cause("there are no credentials", _REFUSED.way_out),
    "InvalidOperation": _Cause("there are no credentials", _REFUSED.way_out),  # The bucket is not public.
    "RefreshError": _REFUSED,
    "TransportError": _SILENT,
    "Forbidden": _REFUSED,
    "Unauthorized": _REFUSED,
    "NotFound": _Cause("there is no such bucket", "create it, or correct its name"),
    "ServerError": _SILENT,
    "RetryError": _SILENT,
    "GoogleAPIError": _Cause("the service refuses the request", "check its name, the network and your credentials"),
    "GoogleAuthError": _REFUSED,
}
"""Names of classes, because importing these packages takes seconds and Google's come with an extra."""

_OF_REMOTE_FILES = ("://", "http", "curl")
"""Words in the text of those of TensorFlow's errors that are about files. Others are about devices and machines."""

# A path at the end of Python's messages, one in HDF5's, and one at the beginning of TensorFlow's.
_QUOTED_PATH = re.compile(r"\[Errno \d+\] [^:'\"\n]*: (?P<quote>['\"])(?P<path>.+?)(?P=quote)")
_HDF5_PATH = re.compile(r"filename = '(?P<path>[^']+)'")
_BUCKET_PATH = re.compile(r"(?P<path>gs://[^\s'\";,:]+)")
_LEADING_PATH = re.compile(r"(?P<path>(?:/|[a-z0-9]+://)[^;\n]*); ")


def as_user_error(error: BaseException, *, place: str, service: str = "") -> UserError | None:
    """Returns what to tell the user about an error of a file system, or None if the error is another one.

    Args:
        error: What was raised. The errors that it was raised from count, too.
        place: What to name if the error names no path, e.g. the folder that was written to.
        service: What to name instead if a service is at fault; "" for `place`.
    """
    for link in chain(error):
        if isinstance(link, UserError):
            return link if link is error else None
        if isinstance(link, UrlError):
            return UserError(f"{link}.")
        cause = _cause(link)
        if cause is not None:
            path = _path(link) or (service if service and cause in _REMOTE_CAUSES.values() else place)
            return UserError(f"{path} cannot be used ({cause.text}): {cause.way_out.format(uid=os.getuid())}.")
    return None


def reason(error: BaseException) -> str:
    """Returns why a place cannot be used, in a few words for the middle of a sentence."""
    cause = next(filter(None, map(_cause, chain(error))), None)
    return error_text.first_line(error) if cause is None else cause.text


@contextlib.contextmanager
def as_user_errors(*, place: str, service: str = "") -> Iterator[None]:
    """Raises the errors of a file system within the block as `UserError`. See `as_user_error`."""
    try:
        yield
    except Exception as error:
        known = as_user_error(error, place=place, service=service)
        if known is None or known is error:
            raise
        raise known from error


def is_silence(error: BaseException) -> bool:
    """Returns whether an error says that a service or a network file system does not answer now."""
    cause = _cause(error)
    return cause in (_SILENT, *(_CAUSES[number] for number in (errno.ESTALE, errno.ENOTCONN, errno.ETIMEDOUT)))


def chain(error: BaseException) -> Iterator[BaseException]:
    """Yields an error, and then the errors that led to it.

    An error that was raised while another one was handled did not come from that one if it is a bug in the handler.
    """
    link: BaseException | None = error
    seen: set[int] = set()
    while link is not None and id(link) not in seen:
        seen.add(id(link))
        yield link
        follows_context = not link.__suppress_context__ and _is_of_cleanup(link)
        link = link.__cause__ or (link.__context__ if follows_context else None)


def _is_of_cleanup(error: BaseException) -> bool:
    """Returns whether an error may follow from the one that was handled when it was raised, like that of a `close`."""
    # The second is what zipfile says when a full disk has ended the writing of a member.
    return isinstance(error, OSError | RuntimeError) or "open writing handle" in str(error)


def _cause(error: BaseException) -> _Cause | None:
    if isinstance(error, OSError) and error.errno in _CAUSES:
        is_about_file = error.filename is not None or error.errno not in _ALSO_OTHERS
        return _CAUSES[error.errno] if is_about_file else None
    if not _may_quote_the_system(error):
        return _remote_cause(error)
    text = str(error).lower()
    return next((cause for phrase, cause in _PHRASES.items() if phrase in text), None) or _remote_cause(error)


def _remote_cause(error: BaseException) -> _Cause | None:
    """Returns the cause of an error of Cloud Storage, or None if it is another error."""
    package = type(error).__module__.partition(".")[0]
    is_of_storage = package == "google" or (
        package == "tensorflow" and any(word in str(error).lower() for word in _OF_REMOTE_FILES)
    )
    if not is_of_storage:
        return None
    names = [base.__name__ for base in type(error).__mro__]
    return next((_REMOTE_CAUSES[name] for name in names if name in _REMOTE_CAUSES), None)


def _may_quote_the_system(error: BaseException) -> bool:
    """Returns whether the text of an error may hold what the system reported."""
    package = type(error).__module__.partition(".")[0]
    return isinstance(error, OSError | RuntimeError) or package in ("tensorflow", "ml_metadata", "sqlite3", "soundfile")


def _path(error: BaseException) -> str:
    """Returns the path that an error names, or ""."""
    if isinstance(error, OSError) and error.filename is not None:
        return os.fsdecode(error.filename2 or error.filename) if not isinstance(error.filename, int) else ""
    text = str(error).rpartition("}} ")[2]  # TensorFlow puts the name of the operation before it, in braces.
    found = (
        _QUOTED_PATH.search(text) or _HDF5_PATH.search(text) or _LEADING_PATH.search(text) or _BUCKET_PATH.search(text)
    )
    return found["path"] if found else ""
