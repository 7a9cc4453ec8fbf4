"""Hashes, measures, lists, copies and publishes files, on this machine and on Cloud Storage.

This module is where remote paths (`gs://...`) differ from local ones, with `google_storage`, which has the requests,
`google_path`, `remote_file`, `copying`, and `conditional_writes`, which has small files that several processes write at
the same time. Importing it takes nothing but the standard library.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import pathlib
import stat
import tempfile
import uuid
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, BinaryIO, NamedTuple

from beam_jobs import google_storage, remote_file
from beam_jobs.copying import Publication as Publication
from beam_jobs.copying import copy_file as copy_file
from beam_jobs.copying import copy_tree as copy_tree
from beam_jobs.copying import publish_file as publish_file
from beam_jobs.copying import publish_files as publish_files
from beam_jobs.copying import remove_files as remove_files
from beam_jobs.copying import remove_tree as remove_tree
from beam_jobs.remote_file import UNFINISHED as UNFINISHED
from beam_jobs.remote_file import UrlError as UrlError
from beam_jobs.remote_file import is_remote, open_path

if TYPE_CHECKING:
    from etils import epath

RECORDS_FOLDER = "_done"
"""Sub-folder with a record `<file name>.json` for each finished file, which holds its SHA-256 and its size."""

NO_FILE = "it is a pipe, a socket or a device, not a file"
"""Reason for not reading what need not end and could make a reader wait."""

_BLOCK_BYTES = 2**20


class FileDigest(NamedTuple):
    """The content of a file in two values: its SHA-256 in hexadecimal and its size in bytes."""

    sha256: str
    bytes: int


class Entry(NamedTuple):
    """One entry of a folder."""

    name: str
    is_folder: bool


def file_digest(path: epath.PathLike) -> FileDigest:
    """Reads a file block by block and returns its digest."""
    sha256 = hashlib.sha256()
    size = 0
    with open_path(path).open("rb") as file:
        while block := file.read(_BLOCK_BYTES):
            sha256.update(block)
            size += len(block)
    return FileDigest(sha256.hexdigest(), size)


def quick_digest(path: epath.PathLike) -> str:
    """Returns a digest of a file: its SHA-256, or on Cloud Storage the checksum of the service, without a download.

    Raises:
        FileNotFoundError: There is no such file.
    """
    if not google_storage.is_used_for(path):
        return file_digest(path).sha256
    found = google_storage.stat(path)
    if found is None:
        raise FileNotFoundError(2, "No such file", os.fspath(path))
    return f"crc32c {found.crc32c} {found.size}"


def open_binary(path: epath.PathLike) -> BinaryIO:
    """Opens a file for libraries that read anywhere in it, such as PyArrow.

    Raises:
        FileNotFoundError: There is no such file.
    """
    file = open_path(path)
    if is_remote(path) and not google_storage.is_used_for(path):
        return remote_file.open_buffered(file)
    return file.open("rb")


def read_range(path: epath.PathLike, *, start: int, size: int) -> bytes:
    """Reads a part of a file: `size` bytes from the byte `start`."""
    if google_storage.is_used_for(path):
        return google_storage.read(path, start=start, end=start + size)
    with open_binary(path) as file:
        file.seek(start)
        return file.read(size)


def text_digest(text: str) -> str:
    """Returns the SHA-256 of a text in hexadecimal."""
    return hashlib.sha256(text.encode()).hexdigest()


def size(path: epath.PathLike) -> int:
    """Returns the size of a file in bytes."""
    return open_path(path).stat().length if is_remote(path) else os.stat(path).st_size


def modified_s(path: epath.PathLike) -> int:
    """Returns when a file was last changed, in whole seconds since 1970."""
    return open_path(path).stat().mtime if is_remote(path) else int(os.stat(path).st_mtime)


def is_folder(path: epath.PathLike) -> bool:
    """Returns whether there is a folder at `path`.

    Raises:
        OSError: The file system does not say, e.g. because a folder above cannot be read. epath would return False, and
            what was published would be taken for gone.
    """
    return open_path(path).is_dir()


def is_empty(folder: epath.PathLike) -> bool:
    """Returns whether there is nothing in a folder. On Cloud Storage such a folder does not exist."""
    return not google_storage.is_used_for(folder) and not any(True for _ in open_path(folder).iterdir())


def is_no_file(path: epath.PathLike) -> bool:
    """Returns whether there is something on this machine that is neither a file nor a folder, see `NO_FILE`."""
    try:
        mode = 0 if is_remote(path) else os.stat(path).st_mode
    except OSError:  # Who opens it gets a better error.
        return False
    return bool(mode) and not (stat.S_ISREG(mode) or stat.S_ISDIR(mode))


def canonical(path: str) -> str:
    """Returns one spelling for all paths of a file or folder: absolute, without links, `~`, `..` and a final slash.

    Of a URL only final slashes are removed. The empty path stays as it is.
    """
    if is_remote(path) or not path:
        return path.rstrip("/")
    return os.path.realpath(os.path.expanduser(path))


def entries(folder: epath.PathLike, *, is_file_name: Callable[[str], bool] | None = None) -> Iterator[Entry]:
    """Lists a folder without its sub-folders.

    Listing Cloud Storage takes one request per thousand entries. Other remote file systems do not say which entries are
    folders, so listing them takes one more request per entry.

    Args:
        folder: Local or remote.
        is_file_name: Returns whether a name is certainly that of a file. This saves the request for that entry.
    """
    if not is_remote(folder):
        with os.scandir(folder) as local_entries:
            for entry in local_entries:
                yield Entry(entry.name, entry.is_dir())
        return
    if google_storage.is_used_for(folder):
        files, folders = google_storage.list_entries(folder)
        yield from (Entry(name, is_folder=False) for name in files)
        yield from (Entry(name, is_folder=True) for name in folders)
        return
    # Imported here because the decoder's child process and `diptych --help` use this module without TensorFlow.
    import tensorflow as tf

    # A glob would list the whole bucket. Cloud Storage marks folders with a slash at the end of their names.
    marks_folders = os.fspath(folder).startswith("gs://")
    for name in tf.io.gfile.listdir(os.fspath(folder)):
        is_folder = name.endswith("/")
        is_certainly_file = is_file_name is not None and is_file_name(name)
        if not marks_folders and not is_certainly_file:
            is_folder = tf.io.gfile.isdir(f"{os.fspath(folder)}/{name}")
        yield Entry(name.rstrip("/"), is_folder)


def file_sizes(folder: epath.PathLike, *, records: bool = True) -> dict[str, int]:
    """Returns the size in bytes of every file below a folder, by relative name, sorted within each folder.

    With Google's client (extra `gcp`) it takes one request per thousand files of Cloud Storage; without, one per file.

    Args:
        folder: Local or remote.
        records: Whether to include the files in `RECORDS_FOLDER`.
    """
    if google_storage.is_used_for(folder):
        listed = google_storage.list_files(folder)
        names = sorted(listed, key=lambda name: name.split("/"))
        return {name: listed[name].bytes for name in names if records or not is_record(name)}
    sizes = {}
    for entry in sorted(entries(folder)):
        path = open_path(folder) / entry.name
        if not entry.is_folder:
            sizes[entry.name] = size(path)
        elif records or entry.name != RECORDS_FOLDER:
            below = file_sizes(path, records=records)
            sizes.update({f"{entry.name}/{name}": below[name] for name in below})
    return sizes


def is_record(name: str) -> bool:
    """Returns whether a relative name is that of a file in a `RECORDS_FOLDER`."""
    return RECORDS_FOLDER in name.split("/")[:-1]


def write_text(path: epath.Path, text: str, *, concurrent: bool = False) -> None:
    """Writes a text file; see `write_bytes`."""
    write_bytes(path, text.encode(), concurrent=concurrent)


def write_bytes(path: epath.Path, content: bytes, *, concurrent: bool = False) -> None:
    """Writes a file. Readers see the old content or the new content, never a part of either.

    Args:
        path: The file.
        content: Its content.
        concurrent: Whether several processes may write the file at the same time. Each then has a temporary file of
            its own. Otherwise the temporary name is always the same, so that killed processes leave one at most.
            Remote files need none: they appear when they are whole.
    """
    if is_remote(path):
        path.write_bytes(content)
        return
    temporary = unfinished_name(path) if concurrent else path.with_name(path.name + UNFINISHED)
    temporary.write_bytes(content)
    temporary.replace(path)


def unfinished_name(path: epath.Path) -> epath.Path:
    """Returns a new temporary name beside `path`. Write the file under it, then rename the whole file to `path`."""
    return path.with_name(f"{path.name}.{uuid.uuid4().hex[:8]}{UNFINISHED}")


@contextlib.contextmanager
def scratch(path: epath.Path) -> Iterator[epath.Path]:
    """Yields where to write a large file that is to become `path`: beside it, or on this machine if it is on a bucket.

    The file that is there at the end of the block is removed; move it before, see `move_in`.
    """
    if google_storage.is_used_for(path):
        with tempfile.TemporaryDirectory() as folder:
            yield type(path)(folder, path.name)
        return
    temporary = unfinished_name(path)
    try:
        yield temporary
    finally:
        temporary.unlink(missing_ok=True)


def move_in(temporary: epath.Path, path: epath.Path, *, note: str = "") -> None:
    """Moves a file from its place in `scratch` to its own, where it appears as a whole.

    Args:
        temporary: What `scratch` has yielded.
        path: The file.
        note: For Cloud Storage, see `google_storage.upload`.
    """
    if google_storage.is_used_for(path):
        google_storage.upload_file(path, os.fspath(temporary), note=note)
    else:
        temporary.replace(path)


@contextlib.contextmanager
def without_wildcards(folder: epath.PathLike) -> Iterator[str]:
    """Yields a name of a folder that TensorFlow reads as it is.

    TensorFlow takes the names of checkpoints and SavedModels for patterns when it reads them. It does not find those in
    a folder such as `run [1]`, and accepts no escaped name. So such a folder gets a second name until the block ends: a
    link, or a copy if the folder is remote.
    """
    name = os.fspath(folder)
    if not _has_wildcard(name):
        yield name
        return
    place = "/tmp" if _has_wildcard(tempfile.gettempdir()) else None
    with tempfile.TemporaryDirectory(dir=place) as temporary:
        second = os.path.join(temporary, "folder")
        if is_remote(folder):
            copy_tree(open_path(folder), pathlib.Path(second))
        else:
            os.symlink(os.path.abspath(name), second)
        yield second


def _has_wildcard(name: str) -> bool:
    return any(character in name for character in "*?[\\")
