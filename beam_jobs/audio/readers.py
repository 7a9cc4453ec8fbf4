"""Fetches and reads audio files: with libsndfile if it can, and otherwise with FFmpeg."""

import os
import queue
import threading

from etils import epath

from beam_jobs import storage
from beam_jobs.audio import ffmpeg, sndfile
from beam_jobs.audio.sound import DecodeError, Segment, Sound, Source

_WHOLE_FILE = Segment()


def fetch(path: epath.PathLike, *, timeout_s: float | None = None) -> Source:
    """Returns a local path unchanged, and the content of a remote file.

    Raises:
        DecodeError: if the remote file is missing, is unreadable, or does not arrive within `timeout_s` seconds.
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
        raise DecodeError("timed out", f"not fetched after {timeout_s:g} s") from None
    if isinstance(result, FileNotFoundError):
        raise DecodeError("missing", "no such file") from result
    if isinstance(result, Exception):
        raise DecodeError("unreadable", f"{type(result).__name__}: {result}") from result
    return result


def read(source: Source, segment: Segment = _WHOLE_FILE) -> Sound:
    """Reads a file, or a segment of it.

    Args:
        source: A local path or the content of a file, as `fetch` returns it.
        segment: What to read.

    Raises:
        DecodeError: if the file is missing or unreadable, or ends well before its header says.
    """
    _check_opens(source)
    try:
        return sndfile.read(source, segment)
    except sndfile.SndfileError as error:
        sndfile_error = str(error)
    return ffmpeg.read(source, segment, sndfile_error=sndfile_error)


def _check_opens(source: Source) -> None:
    """Raises DecodeError for a file that cannot be opened. The decoders do not tell missing and damaged files apart."""
    if isinstance(source, bytes):
        return
    try:
        with open(source, "rb"):
            pass
    except FileNotFoundError as error:
        raise DecodeError("missing", "no such file") from error
    except OSError as error:
        raise DecodeError("unreadable", str(error)) from error
