"""Fetches and reads audio files: with libsndfile if it can, and otherwise with FFmpeg."""

import contextlib
import errno
import os
import queue
import threading

from etils import epath

from beam_jobs import storage
from beam_jobs.audio import ffmpeg, sndfile
from beam_jobs.audio.sound import DecodeError, Samples, Segment, Sound, Source

_WHOLE_FILE = Segment()
_BLOCK_BYTES = 2**20

# Errors that say what is at a path. All others, such as EIO, ESTALE or ETIMEDOUT, may pass.
_FINAL_ERRORS = {errno.EISDIR, errno.ELOOP, errno.ENAMETOOLONG, errno.ENOENT, errno.ENOTDIR, errno.ENXIO}


def fetch(path: epath.PathLike, *, timeout_s: float | None = None) -> Source:
    """Returns a local path unchanged, and the content of a remote file.

    Raises:
        DecodeError: if the remote file is missing, is unreadable, or does not arrive within `timeout_s` seconds. All
            errors of a bucket are transient.
    """
    name = os.fspath(path)
    if not storage.is_remote(name):
        return name
    results: queue.SimpleQueue[bytes | Exception] = queue.SimpleQueue()

    def download() -> None:
        try:
            results.put(epath.Path(path).read_bytes())
        except Exception as error:
            results.put(error)

    # Nothing can stop a storage client that hangs. A daemon thread at least does not keep the process alive.
    threading.Thread(target=download, name=f"fetch {name}", daemon=True).start()
    try:
        result = results.get(timeout=timeout_s)
    except queue.Empty:
        raise DecodeError("timed out", f"not fetched after {timeout_s:g} s", transient=True) from None
    # TensorFlow's own error is known by its name, because the decoder's process must not import TensorFlow.
    if isinstance(result, FileNotFoundError) or type(result).__name__ == "NotFoundError":
        raise DecodeError("missing", "no such file") from result
    if isinstance(result, Exception):
        message = f"{type(result).__name__}: {result}"
        raise DecodeError("unreadable", message, transient=not isinstance(result, IsADirectoryError)) from result
    return result


def read(source: Source, segment: Segment = _WHOLE_FILE) -> Sound:
    """Reads a file, or a segment of it.

    Args:
        source: A local path or the content of a file, as `fetch` returns it.
        segment: What to read.

    Raises:
        DecodeError: if the file is missing or unreadable, or ends well before its header says. It is transient if the
            file cannot be read, and final if its content is damaged.
    """
    if isinstance(source, bytes):
        return _decode(source, segment)
    _check_opens(source)
    try:
        return _decode(source, segment)
    except DecodeError:
        # The decoders do not tell a disk that fails from a file that is damaged. What has been read cannot fail.
        if segment.collect is not Samples:
            _check_reads(source)
            raise
        content = _read_bytes(source)
        with contextlib.suppress(DecodeError):
            return _decode(content, segment)
        raise


def _decode(source: Source, segment: Segment) -> Sound:
    """Decodes a segment with the decoder that can."""
    try:
        return sndfile.read(source, segment)
    except sndfile.SndfileError as error:
        sndfile_error = str(error)
    return ffmpeg.read(source, segment, sndfile_error=sndfile_error)


def _check_opens(path: str) -> None:
    """Raises DecodeError for a file that cannot be opened. The decoders do not tell missing and damaged files apart."""
    try:
        with open(path, "rb"):
            pass
    except OSError as error:
        raise _cannot_read(error) from error


def _read_bytes(path: str) -> bytes:
    try:
        with open(path, "rb") as file:
            return file.read()
    except OSError as error:
        raise _cannot_read(error) from error


def _check_reads(path: str) -> None:
    """Raises DecodeError for a file that cannot be read to its end; never holds more than a block of it."""
    try:
        with open(path, "rb") as file:
            while file.read(_BLOCK_BYTES):
                pass
    except OSError as error:
        raise _cannot_read(error) from error


def _cannot_read(error: OSError) -> DecodeError:
    if isinstance(error, FileNotFoundError):
        return DecodeError("missing", "no such file")
    return DecodeError("unreadable", str(error), transient=error.errno not in _FINAL_ERRORS)
