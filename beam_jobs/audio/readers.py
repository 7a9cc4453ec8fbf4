"""Fetches and reads audio files: with libsndfile if it can, and otherwise with FFmpeg."""

import contextlib
import errno
import functools
import itertools
import os
import queue
import threading

from beam_jobs import storage
from beam_jobs.audio import checks, ffmpeg, headers, joined, sndfile
from beam_jobs.audio.sound import BinaryFile, DecodeError, Samples, Segment, Sound, Source, open_file
from beam_jobs.audio.views import View

_WHOLE_FILE = Segment()
_BLOCK_BYTES = 2**20

_OPENED_BY_A_PROCESS = ("/dev/stdin", "/dev/fd/", "/proc/self/fd/")
_OPENED = "it names what the process that decodes it has opened, not a file; give the path of the file"

# Errors that say what is at a path. All others, such as EIO, ESTALE or ETIMEDOUT, may pass.
_FINAL_ERRORS = {errno.EISDIR, errno.ELOOP, errno.ENAMETOOLONG, errno.ENOENT, errno.ENOTDIR, errno.ENXIO}


def fetch(path: str | os.PathLike[str], *, timeout_s: float | None = None) -> Source:
    """Returns a local path as an absolute one, and the content of a remote file.

    Raises:
        DecodeError: if there is a folder, or a pipe or the like, which is never opened; if no file can have that path,
            such as the empty one; if the remote file is missing, is unreadable, or does not arrive within `timeout_s`
            seconds. All errors of a bucket are transient.
    """
    name = os.fspath(path)
    try:
        is_no_file = storage.is_no_file(name)
    except ValueError as error:  # It holds NUL, or what has no bytes.
        raise DecodeError("missing", f"no such file, because no file can have that path ({error})") from error
    if not name:
        raise DecodeError("missing", "no such file, because the path is empty")
    if is_no_file:
        # The decoder's process has a pipe there, also where its caller has a file.
        raise DecodeError("unreadable", _OPENED if name.startswith(_OPENED_BY_A_PROCESS) else storage.NO_FILE)
    if not storage.is_remote(name):
        if os.path.isdir(name):
            raise DecodeError("unreadable", "it is a folder, not a file; give the files in it")
        # Of a relative path like `12:30.m4a`, FFmpeg would take what precedes the colon for a protocol.
        return os.path.abspath(name)
    results: queue.SimpleQueue[bytes | Exception] = queue.SimpleQueue()

    def download() -> None:
        try:
            results.put(storage.open_path(name).read_bytes())
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
    if isinstance(result, (ImportError, storage.UrlError)):  # Its message is the sentence of `storage.open_path`.
        raise DecodeError("unreadable", str(result)) from result
    if isinstance(result, Exception):
        message = f"{type(result).__name__}: {result}"
        raise DecodeError("unreadable", message, transient=not isinstance(result, IsADirectoryError)) from result
    return result


def read(source: Source, segment: Segment = _WHOLE_FILE, *, loudest: bool = False) -> Sound:
    """Reads a file, or a segment of it.

    Args:
        source: A local path or the content of a file, as `fetch` returns it.
        segment: What to read.
        loudest: Whether to return the loudest channel's magnitude at each time, instead of the mean of the channels.

    Raises:
        DecodeError: if the file is missing or unreadable, or ends well before its header says. It is transient if the
            file cannot be read, and final if its content is damaged.
    """
    if isinstance(source, bytes):
        return _decode(source, segment, loudest=loudest)
    try:
        return _decode(source, segment, loudest=loudest)
    except OSError as error:
        raise _cannot_read(error) from error
    except DecodeError:
        # The decoders do not tell a disk that fails from a file that is damaged. What has been read cannot fail.
        if segment.collect is not Samples:
            _check_reads(source)
            raise
        content = _read_bytes(source)
        with contextlib.suppress(DecodeError):
            return _decode(content, segment, loudest=loudest)
        raise


def _decode(source: Source, segment: Segment, *, loudest: bool) -> Sound:
    """Decodes a segment of a file that may consist of several, which were joined."""
    if files := joined.parts(source):
        return joined.read(files, segment, decode=functools.partial(_decode_part, loudest=loudest))
    return _decode_file(source, segment, loudest=loudest)


def _decode_part(source: Source, segment: Segment, *, by_ffmpeg: bool, loudest: bool) -> Sound:
    if by_ffmpeg:
        reason = "starts in the middle of a stream, or holds several"
        return ffmpeg.read(source, segment, sndfile_error=reason, loudest=loudest)
    return _decode_file(source, segment, loudest=loudest)


def _decode_file(source: Source, segment: Segment, *, loudest: bool) -> Sound:
    with open_file(source) as file:
        extent = headers.inspect(file, will_seek=segment.start_s > 0)
        if extent.next_file is not None:
            return _decode_joined(file, segment, loudest=loudest)
        try:
            return _decode_one(extent.corrected or source, segment, extent, loudest=loudest)
        except sndfile.JoinedError:
            return _decode_joined(file, segment, loudest=loudest)


def _decode_joined(file: BinaryFile, segment: Segment, *, loudest: bool) -> Sound:
    bounds = itertools.pairwise([*headers.find_files(file), None])
    files = [joined.Part(content=View(file, start=start, stop=stop)) for start, stop in bounds]
    return joined.read(files, segment, decode=functools.partial(_decode_part, loudest=loudest))


def _decode_one(source: Source, segment: Segment, extent: headers.Extent, *, loudest: bool) -> Sound:
    """Decodes a segment with the decoder that can."""
    try:
        sound = sndfile.read(source, segment, extent=extent, loudest=loudest)
    except sndfile.JoinedError:
        raise
    except sndfile.SndfileError as error:
        sound = _decode_with_ffmpeg(source, segment, extent, loudest=loudest, sndfile_error=str(error))
    if extent.breaks_off:
        checks.check_end(sound, segment)
    return sound


def _decode_with_ffmpeg(
    source: Source, segment: Segment, extent: headers.Extent, *, loudest: bool, sndfile_error: str
) -> Sound:
    try:
        sound = ffmpeg.read(source, segment, sndfile_error=sndfile_error, loudest=loudest)
    except DecodeError as error:
        if extent.breaks_off and error.cause in ("unreadable", "too short"):
            raise DecodeError("truncated", f"breaks off ({error})") from error
        raise
    checks.check_promise(sound, segment, promised_share=extent.promised_share)
    return sound


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
