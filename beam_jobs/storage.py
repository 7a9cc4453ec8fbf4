"""Hashes, measures, lists, copies and publishes files, on this machine and on Cloud Storage.

This module is where remote paths (`gs://...`) differ from local ones, with `conditional_writes`, which has small files
that several processes write at the same time, and `remote_file`. Importing it takes nothing but the standard library.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import pathlib
import shutil
import stat
import tempfile
import uuid
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, BinaryIO, NamedTuple

from beam_jobs import conditional_writes, remote_file
from beam_jobs.remote_file import is_remote, open_path

if TYPE_CHECKING:
    from etils import epath

RECORDS_FOLDER = "_done"
"""Sub-folder with a record `<file name>.json` for each finished file, which holds its SHA-256 and its size."""

UNFINISHED = ".writing"
"""Suffix of files and folders that are still being written. Readers ignore them."""

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


def open_binary(path: epath.PathLike) -> BinaryIO:
    """Opens a file for libraries that read anywhere in it, such as PyArrow.

    Raises:
        FileNotFoundError: There is no such file.
    """
    file = open_path(path)
    return remote_file.open_buffered(file) if is_remote(path) else file.open("rb")


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
    sizes = _sizes_on_google(folder)
    if sizes is not None:
        names = sorted(sizes, key=lambda name: name.split("/"))
        return {name: sizes[name] for name in names if records or RECORDS_FOLDER not in name.split("/")[:-1]}
    sizes = {}
    for entry in sorted(entries(folder)):
        path = open_path(folder) / entry.name
        if not entry.is_folder:
            sizes[entry.name] = size(path)
        elif records or entry.name != RECORDS_FOLDER:
            below = file_sizes(path, records=records)
            sizes.update({f"{entry.name}/{name}": below[name] for name in below})
    return sizes


def _sizes_on_google(folder: epath.PathLike) -> dict[str, int] | None:
    """Returns the sizes of the files below a folder. None: see `conditional_writes.bucket_and_name`."""
    found = conditional_writes.bucket_and_name(folder)
    if found is None:
        return None
    bucket, name = found
    prefix = f"{name}/" if name else ""
    blobs = bucket.client.list_blobs(bucket, prefix=prefix, fields="items(name,size),nextPageToken")
    # A name with a final slash stands for an empty folder.
    return {blob.name.removeprefix(prefix): blob.size for blob in blobs if not blob.name.endswith("/")}


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
    """
    temporary = unfinished_name(path) if concurrent else path.with_name(path.name + UNFINISHED)
    temporary.write_bytes(content)
    temporary.replace(path)


def unfinished_name(path: epath.Path) -> epath.Path:
    """Returns a new temporary name beside `path`. Write the file under it, then rename the whole file to `path`."""
    return path.with_name(f"{path.name}.{uuid.uuid4().hex[:8]}{UNFINISHED}")


def publish_file(source: epath.Path, target: epath.Path, *, size: int) -> None:
    """Publishes a finished file of the work folder.

    The source stays. On this machine the file is hard-linked, or copied where the file system has no hard links. A
    remote file is copied, unless the target exists with the right size.

    Args:
        source: The finished file.
        target: Where to publish it, in an existing folder.
        size: Size of the source in bytes.
    """
    if is_remote(source) or is_remote(target):
        if not (target.exists() and target.stat().length == size):
            copy_file(source, target)
        return
    try:
        os.link(source, target)
    except OSError:
        # Hard links do not work across file systems, nor on all of them.
        unfinished = target.with_name(target.name + UNFINISHED)
        shutil.copyfile(source, unfinished)
        unfinished.replace(target)


def copy_file(source: epath.Path, target: epath.Path) -> None:
    """Copies one file. If both paths belong to the same remote service, the service copies without a download."""
    if is_remote(source) and _scheme(source) == _scheme(target):
        # Imported here because Beam takes seconds to import, and most runs copy no remote files.
        from apache_beam.io import filesystems

        # Beam raises ValueError if it has no file system for the scheme, e.g. because an extra is not installed.
        with contextlib.suppress(ValueError):
            filesystems.FileSystems.copy([str(source)], [str(target)])
            return
    source.copy(target)


def copy_tree(source: epath.Path, target: epath.Path, *, last: str = "") -> None:
    """Copies a folder and everything below it.

    Args:
        source: The folder.
        target: The copy.
        last: Name of the file in `source` that is copied when all others are there, because readers take a folder
            that has it for complete.
    """
    target.mkdir(parents=True, exist_ok=True)
    for path in sorted(source.iterdir(), key=lambda path: (path.name == last, path.name)):
        if path.is_dir():
            copy_tree(path, target / path.name)
        else:
            path.copy(target / path.name)


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


def remove_tree(folder: epath.Path) -> None:
    """Removes a folder and everything below it. Does nothing if the folder does not exist."""
    if folder.exists():
        folder.rmtree()


def _scheme(path: epath.PathLike) -> str:
    return str(path).partition("://")[0]
