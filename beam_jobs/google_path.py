"""The paths that `epath.Path("gs://...")` gives: they read and write through `google_storage`.

Importing `beam_jobs` registers them. Without Google's client they are epath's own, which use TensorFlow's.
"""

from __future__ import annotations

import fnmatch
import io
import os
from collections.abc import Callable, Iterator
from typing import IO, TYPE_CHECKING

from etils import epath
from etils.epath import backend, gpath, stat_utils

from beam_jobs import google_removal, google_storage

if TYPE_CHECKING:
    from google.cloud import storage as gcs

_BLOCK_BYTES = 2**23
"""Number of bytes that a request reads of a large file."""

Path = str | os.PathLike[str]


class _Backend(backend.Backend):
    """What epath needs to know of a file system."""

    def open(self, path: Path, mode: str) -> IO[str] | IO[bytes]:
        binary = _open_to_read(path) if "r" in mode else io.BufferedWriter(_Upload(path))
        if "a" in mode and (found := google_storage.stat(path)) is not None:
            binary.write(found.download_as_bytes(retry=google_storage.retrying()))
        return binary if "b" in mode else io.TextIOWrapper(binary, encoding="utf-8")

    def exists(self, path: Path) -> bool:
        return google_storage.stat(path) is not None or google_storage.is_folder(path)

    def isdir(self, path: Path) -> bool:
        return google_storage.is_folder(path)

    def listdir(self, path: Path) -> list[str]:
        files, folders = google_storage.list_entries(path)
        return files + folders

    def glob(self, path: Path) -> list[str]:
        bucket, *parts = os.fspath(path).removeprefix(google_storage.SCHEME).split("/")
        found, is_listed = [google_storage.SCHEME + bucket], False
        for part in parts:
            is_listed = any(character in part for character in "*?[")
            names = {folder: fnmatch.filter(self.listdir(folder), part) if is_listed else [part] for folder in found}
            found = [f"{folder}/{name}" for folder in found for name in names[folder]]
        return found if is_listed else [name for name in found if self.exists(name)]

    def walk(
        self, top: Path, *, top_down: bool = True, on_error: Callable[[OSError], object] | None = None
    ) -> Iterator[tuple[str, list[str], list[str]]]:
        raise NotImplementedError("storage.file_sizes lists a bucket with fewer requests")

    def makedirs(self, path: Path, *, exist_ok: bool = False, mode: int | None = None) -> None:
        """Does nothing, see `google_storage`."""

    mkdir = makedirs

    def rmtree(self, path: Path) -> None:
        google_removal.remove_folder(path)

    def remove(self, path: Path) -> None:
        google_removal.remove(path)

    def rename(self, path: Path, dst: Path) -> None:
        if self.exists(dst):
            raise FileExistsError(17, "File exists", os.fspath(dst))
        self.replace(path, dst)

    def replace(self, path: Path, dst: Path) -> None:
        """Copies and removes: this is not one step, so no reader may depend on it."""
        try:
            self.copy(path, dst, overwrite=True)
            google_removal.remove(path)
        except FileNotFoundError:
            names = list(google_storage.list_files(path))
            if not names:
                raise
            google_storage.in_parallel(lambda name: google_storage.copy(f"{path}/{name}", f"{dst}/{name}"), names)
            google_removal.remove_folder(path)

    def copy(self, path: Path, dst: Path, overwrite: bool) -> None:
        """Copies a file. With the same content there already, it is done: the answer to a first request may be lost."""
        # Imported here because it comes with an extra.
        from google.api_core import exceptions

        replaces = None if overwrite else 0
        try:
            if not google_storage.is_used_for(dst):
                with open(dst, "wb" if overwrite else "xb") as file:
                    file.write(google_storage.read(path))
            elif not google_storage.is_used_for(path):
                with open(path, "rb") as file:
                    google_storage.upload(dst, file.read(), replaces=replaces)
            else:
                google_storage.copy(path, dst, replaces=replaces)
        except exceptions.PreconditionFailed as error:
            if google_storage.read(dst) != epath.Path(path).read_bytes():
                raise FileExistsError(17, "File exists", os.fspath(dst)) from error

    def stat(self, path: Path) -> stat_utils.StatResult:
        found = google_storage.stat(path)
        if found is None and not google_storage.is_folder(path):
            raise FileNotFoundError(2, "No such file", os.fspath(path))
        return stat_utils.StatResult(
            is_directory=found is None,
            length=found.size if found else 0,
            mtime=int(found.updated.timestamp()) if found else 0,
            owner=None,
            group=None,
            mode=None,
        )


_BACKEND = _Backend()


@epath.register_path_cls(google_storage.SCHEME)
class GooglePath(gpath.PosixGPath):
    """A path on Cloud Storage."""

    @property
    def _backend(self) -> backend.Backend:
        return _BACKEND if google_storage.is_used_for(self) else super()._backend

    def read_bytes(self) -> bytes:
        return google_storage.read(self) if google_storage.is_used_for(self) else super().read_bytes()

    def read_text(self, encoding: str | None = None) -> str:
        if not google_storage.is_used_for(self):
            return super().read_text(encoding)
        return google_storage.read(self).decode(encoding or "utf-8")

    def write_bytes(self, data: bytes) -> int:
        if not google_storage.is_used_for(self):
            return super().write_bytes(data)
        google_storage.upload(self, data)
        return len(data)

    def write_text(self, data: str, encoding: str | None = None, errors: str | None = None) -> int:
        if not google_storage.is_used_for(self):
            return super().write_text(data, encoding, errors)
        return self.write_bytes(data.encode(encoding or "utf-8", errors or "strict"))

    def rmtree(self, missing_ok: bool = False) -> None:
        if not missing_ok and not self.exists():
            raise FileNotFoundError(2, "No such folder", os.fspath(self))
        super().rmtree(missing_ok)


def _open_to_read(path: Path) -> io.BufferedReader | io.BytesIO:
    first, generation = google_storage.read_start(path, _BLOCK_BYTES)
    if len(first) < _BLOCK_BYTES:  # This is all, after one request.
        return io.BytesIO(first)
    blob = google_storage.stat(path)
    if blob is None:
        raise FileNotFoundError(2, "No such file", os.fspath(path))
    known = first if generation == blob.generation else b""
    return io.BufferedReader(_Download(blob, start=known), min(_BLOCK_BYTES, blob.size) or 1)


class _Download(io.RawIOBase):
    """A file that is read block by block, as it was when it was opened.

    Args:
        blob: The file.
        start: Its first bytes, as far as they are known.
    """

    def __init__(self, blob: gcs.Blob, *, start: bytes):
        self._blob = blob
        self._start = start
        self._position = 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def tell(self) -> int:
        return self._position

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        starts = {os.SEEK_SET: 0, os.SEEK_CUR: self._position, os.SEEK_END: self._blob.size}
        self._position = max(0, starts[whence] + offset)
        return self._position

    def readinto(self, buffer: memoryview) -> int:
        end = min(self._position + len(buffer), self._blob.size)
        if self._position >= end:
            return 0
        content = self._start[self._position : end] or google_storage.read_same(
            self._blob, start=self._position, end=end
        )
        buffer[: len(content)] = content
        self._position += len(content)
        return len(content)


class _Upload(io.RawIOBase):
    """A file that is kept in memory, and appears when it is closed."""

    def __init__(self, path: Path):
        self._path = path
        self._content = io.BytesIO()

    def writable(self) -> bool:
        return True

    def tell(self) -> int:
        return self._content.tell()

    def write(self, content: memoryview) -> int:
        return self._content.write(content)

    def close(self) -> None:
        if not self.closed:
            super().close()  # First, because a file whose upload fails is closed again by what wraps it.
            google_storage.upload(self._path, self._content.getvalue())
