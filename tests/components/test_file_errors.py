import errno
import importlib
import io
import os
import sqlite3
import zipfile

import pytest
import tensorflow as tf

from components import file_errors
from components.errors import UserError

FULL = "no space left on the device"
HTTP = "Error executing an HTTP request: HTTP response code"


def google_error(module, name, *, base="GoogleAuthError"):
    """Returns an error of Google's client, or an imitation with a base class where the extra `gcp` is missing."""
    try:
        kind = getattr(importlib.import_module(module), name)
    except ImportError:
        kind = type(name, (type(base, (Exception,), {}),), {"__module__": module})
    return kind("403 it says no")


def wrapped(cause, error):
    """Returns an error that was raised while `cause` was handled."""
    try:
        try:
            raise cause
        except Exception:
            raise error  # noqa: B904, what Python does by itself is tested
    except type(error) as raised:
        return raised


def of_unfinished_archive(cause):
    """Returns the error of an archive in which a member could not be written."""
    try:
        with zipfile.ZipFile(io.BytesIO(), "w") as archive:
            unfinished = archive.open("member", "w")  # noqa: F841, it is closed when nothing refers to it
            raise cause
    except ValueError as error:
        return error


@pytest.mark.parametrize(
    ("error", "path", "cause"),
    [
        (OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), "/a b/file"), "/a b/file", FULL),
        (OSError(errno.ENOSPC, os.strerror(errno.ENOSPC)), "/root", FULL),
        (OSError(errno.EDQUOT, os.strerror(errno.EDQUOT), b"/bytes"), "/bytes", "quota"),
        (OSError(errno.EIO, os.strerror(errno.EIO), 3), "/root", "input/output error"),
        (PermissionError(errno.EACCES, "Permission denied", "/x"), "/x", "permission denied"),
        (OSError(errno.EROFS, "Read-only file system", "/x"), "/x", "read-only"),
        (OSError(errno.EFBIG, os.strerror(errno.EFBIG), "/x"), "/x", "ulimit -f"),
        (tf.errors.ResourceExhaustedError(None, None, "/r/ckpt.index; No space left on device"), "/r/ckpt.index", FULL),
        (tf.errors.UnknownError(None, None, "/r/events; Input/output error [Op:Flush]"), "/r/events", "input/output"),
        (
            tf.errors.UnknownError(None, None, "{{function_node op_/job:x/cpu:0}} /r/e; No space left on device"),
            "/r/e",
            FULL,
        ),
        (tf.errors.PermissionDeniedError(None, None, "/r/e; Permission denied"), "/r/e", "permission denied"),
        (RuntimeError("OSError: [Errno 28] No space left on device: '/r/it' [while running 'Write']"), "/r/it", FULL),
        (
            OSError("Can't write data (filename = '/r/m.h5', error message = 'No space left on device')"),
            "/r/m.h5",
            FULL,
        ),
        (FileNotFoundError(errno.ENOENT, "No usable temporary directory found in ['/tmp']"), "/root", "set TMPDIR"),
        (sqlite3.OperationalError("database or disk is full"), "/root", FULL),
        (sqlite3.OperationalError("attempt to write a readonly database"), "/root", "can only be read"),
        (sqlite3.OperationalError("locking protocol"), "/root", "no record locks"),
        (
            of_unfinished_archive(OSError(errno.ENOSPC, "No space left on device", "/model.keras")),
            "/model.keras",
            FULL,
        ),
        (wrapped(OSError(errno.ENOSPC, "No space left on device", "/x"), RuntimeError("cannot close")), "/x", FULL),
        (
            tf.errors.PermissionDeniedError(None, None, f"{HTTP} 403 with body '' when reading metadata of gs://b/r/f"),
            "gs://b/r/f",
            "refuses these credentials",
        ),
        (tf.errors.UnauthenticatedError(None, None, f"{HTTP} 401"), "/root", "refuses these credentials"),
        (tf.errors.UnavailableError(None, None, f"{HTTP} 503"), "/root", "does not answer"),
        (tf.errors.AbortedError(None, None, f"All 10 retry attempts failed: {HTTP} 503"), "/root", "does not answer"),
        (tf.errors.DeadlineExceededError(None, None, "gs://b/r: libcurl code 28"), "gs://b/r", "does not answer"),
        (google_error("google.auth.exceptions", "DefaultCredentialsError"), "/root", "there are no credentials"),
        (google_error("google.auth.exceptions", "RefreshError"), "/root", "refuses these credentials"),
        (google_error("google.api_core.exceptions", "Forbidden"), "/root", "refuses these credentials"),
        (
            google_error("google.api_core.exceptions", "ServiceUnavailable", base="ServerError"),
            "/root",
            "does not answer",
        ),
        (
            google_error("google.api_core.exceptions", "BadRequest", base="GoogleAPIError"),
            "/root",
            "refuses the request",
        ),
    ],
    ids=lambda value: getattr(type(value), "__name__", "") if isinstance(value, Exception) else None,
)
def test_one_sentence_names_the_path_the_cause_and_the_way_out(error, path, cause):
    message = str(file_errors.as_user_error(error, place="/root"))
    assert message.startswith(f"{path} cannot be used (")
    assert cause in message
    assert ": " in message
    assert message.endswith(".")
    assert "\n" not in message


@pytest.mark.parametrize(
    "error",
    [
        KeyError("No space left on device"),
        FileNotFoundError(errno.ENOENT, "No such file or directory", "/x"),
        PermissionError(errno.EACCES, "Permission denied"),  # of a socket
        tf.errors.ResourceExhaustedError(None, None, "OOM when allocating tensor"),
        RuntimeError("it broke"),
        zipfile.BadZipFile("not a zip file"),
        OSError(errno.EIO, os.strerror(errno.EIO)),  # of a terminal that is gone
        tf.errors.UnavailableError(None, None, "Socket closed"),  # of another machine
        wrapped(PermissionError(errno.EACCES, "Permission denied", "/x"), KeyError("a bug of the handler")),
    ],
    ids=repr,
)
def test_other_errors_stay_as_they_are(error):
    assert file_errors.as_user_error(error, place="/root") is None
    with pytest.raises(type(error)), file_errors.as_user_errors(place="/root"):
        raise error


def test_a_user_error_stays_as_it_is():
    error = UserError("Make room.")
    error.__cause__ = OSError(errno.ENOSPC, "No space left on device")
    with pytest.raises(UserError, match=r"^Make room\.$"), file_errors.as_user_errors(place="/root"):
        raise error
