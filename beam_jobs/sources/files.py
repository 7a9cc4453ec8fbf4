"""The files of a source, local or remote, with as few calls as the file system allows."""

import os
import re
from collections.abc import Iterator

AUDIO_FORMATS = "wav flac ogg oga opus mp3 m4a mp4 aac webm mkv mka aif aiff au w64 caf wma 3gp"
_AUDIO_FILE = re.compile(rf"\.({AUDIO_FORMATS.replace(' ', '|')})$", re.IGNORECASE)
_DEPTH = 3  # levels of sub-folders that are searched


def find(folder: str) -> tuple[list[str], list[str]]:
    """Those of `names` that are audio, and those that are CSV lists."""
    audio, tables = [], []
    for name in names(folder):
        if _AUDIO_FILE.search(name):
            audio.append(name)
        elif name.endswith(".csv"):
            tables.append(name)
    return audio, tables


def names(folder: str) -> list[str]:
    """Sorted paths, relative to `folder`, of the files below it; hidden ones do not count.

    On Cloud Storage that takes one call per folder and thousand files, and none per file. A glob would list the whole
    bucket each time.
    """
    return sorted(_walk(folder, prefix="", depth=_DEPTH))


def _walk(folder: str, *, prefix: str, depth: int) -> Iterator[str]:
    entries = _remote_entries if "://" in folder else _local_entries
    for name, is_folder in entries(folder):
        if name.startswith("."):
            continue
        if not is_folder:
            yield prefix + name
        elif depth:
            yield from _walk(f"{folder}/{name}", prefix=f"{prefix}{name}/", depth=depth - 1)


def _local_entries(folder: str) -> Iterator[tuple[str, bool]]:
    with os.scandir(folder) as entries:
        for entry in entries:
            yield entry.name, entry.is_dir()


def _remote_entries(folder: str) -> Iterator[tuple[str, bool]]:
    import tensorflow as tf

    # Cloud Storage marks its folders by a slash; another system is asked about what is no audio file.
    has_marks = folder.startswith("gs://")
    for name in tf.io.gfile.listdir(folder):
        is_folder = name.endswith("/")
        if not has_marks and not _AUDIO_FILE.search(name):
            is_folder = tf.io.gfile.isdir(f"{folder}/{name}")
        yield name.rstrip("/"), is_folder
