"""Copies and removes files and folders, on this machine and on Cloud Storage. Others reach it through `storage`."""

from __future__ import annotations

import contextlib
import os
import shutil
from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple

from beam_jobs import google_removal, google_storage
from beam_jobs.remote_file import UNFINISHED, is_remote, open_path

if TYPE_CHECKING:
    from etils import epath


class Publication(NamedTuple):
    """A finished file, and where to publish it: under a name in an existing folder."""

    source: epath.Path
    target: epath.Path
    bytes: int


def publish_files(files: Sequence[Publication]) -> list[int]:
    """Publishes finished files of the work folder, on a bucket many at a time. Returns their sizes; see `publish_file`.

    A file that is not there has the size 0.
    """

    def publish(file: Publication) -> int:
        try:
            return publish_file(file.source, file.target, size=file.bytes)
        except FileNotFoundError:
            return 0

    if any(is_remote(file.target) for file in files):
        return google_storage.in_parallel(publish, files)
    return [publish(file) for file in files]


def publish_file(source: epath.Path, target: epath.Path, *, size: int) -> int:
    """Publishes a finished file of the work folder.

    The source stays. On this machine the file is hard-linked, or copied where the file system has no hard links. A
    remote file is copied, unless the target exists with the right size.

    Args:
        source: The finished file.
        target: Where to publish it, in an existing folder.
        size: Size of the source in bytes.

    Returns:
        Size of the published file in bytes.

    Raises:
        FileNotFoundError: There is no such file.
    """
    if google_storage.is_used_for(source) and google_storage.is_used_for(target):
        return google_storage.copy(source, target)
    if is_remote(source) or is_remote(target):
        if not (target.exists() and target.stat().length == size):
            copy_file(source, target)
        return target.stat().length
    try:
        os.link(source, target)
    except OSError:
        # Hard links do not work across file systems, nor on all of them.
        unfinished = target.with_name(target.name + UNFINISHED)
        shutil.copyfile(source, unfinished)
        unfinished.replace(target)
    return os.stat(target).st_size


def copy_file(source: epath.Path, target: epath.Path) -> None:
    """Copies one file. If both paths belong to the same remote service, the service copies without a download."""
    if google_storage.is_used_for(target):
        if google_storage.is_used_for(source):
            google_storage.copy(source, target)
        elif is_remote(source):
            google_storage.upload(target, source.read_bytes())
        else:
            google_storage.upload_file(target, os.fspath(source))
        return
    if is_remote(source) and _scheme(source) == _scheme(target):
        # Imported here because Beam takes seconds to import, and most runs copy no remote files.
        from apache_beam.io import filesystems

        # Beam raises ValueError if it has no file system for the scheme, e.g. because an extra is not installed.
        with contextlib.suppress(ValueError):
            filesystems.FileSystems.copy([str(source)], [str(target)])
            return
    source.copy(target)


def copy_tree(source: epath.Path, target: epath.Path, *, last: str = "") -> None:
    """Copies a folder and everything below it, to or from a bucket many files at a time.

    Args:
        source: The folder.
        target: The copy.
        last: Name of the file in `source` that is copied when all others are there, because readers take a folder
            that has it for complete.
    """
    if google_storage.is_used_for(source) or google_storage.is_used_for(target):
        names = _names_below(source)
        for folder in sorted({os.path.dirname(name) for name in names}):
            (target / folder).mkdir(parents=True, exist_ok=True)
        google_storage.in_parallel(
            lambda name: copy_file(source / name, target / name), [name for name in names if name != last]
        )
        if last in names:
            copy_file(source / last, target / last)
        return
    target.mkdir(parents=True, exist_ok=True)
    for path in sorted(source.iterdir(), key=lambda path: (path.name == last, path.name)):
        if path.is_dir():
            copy_tree(path, target / path.name)
        else:
            copy_file(path, target / path.name)


def remove_tree(folder: epath.Path) -> None:
    """Removes a folder and everything below it. Does nothing if the folder does not exist.

    Of a link to a folder, the link is removed: what it leads to belongs to who put it elsewhere.
    """
    if google_storage.is_used_for(folder):
        google_removal.remove_folder(folder)
    elif os.path.islink(folder):
        os.unlink(folder)
    elif folder.exists():
        folder.rmtree()


def remove_files(folder: epath.Path, names: Sequence[str]) -> None:
    """Removes files of a folder, as far as they are there."""
    if google_storage.is_used_for(folder):
        google_removal.remove_files(folder, names)
        return
    for name in names:
        (folder / name).unlink(missing_ok=True)


def _names_below(folder: epath.Path) -> list[str]:
    """Returns the relative names of the files below a folder."""
    if google_storage.is_used_for(folder):
        return list(google_storage.list_files(folder))
    names = []
    for path in sorted(open_path(folder).iterdir()):
        names += [f"{path.name}/{name}" for name in _names_below(path)] if path.is_dir() else [path.name]
    return names


def _scheme(path: epath.PathLike) -> str:
    return str(path).partition("://")[0]
