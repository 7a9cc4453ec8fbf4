"""Finds the files of a source, local or remote, with as few calls to the file system as possible."""

import os
import re
from collections.abc import Iterator

from beam_jobs import storage

AUDIO_FORMATS = "wav flac ogg oga opus mp3 m4a mp4 aac webm mkv mka aif aiff au w64 caf wma 3gp"
_AUDIO_FILE = re.compile(rf"\.({AUDIO_FORMATS.replace(' ', '|')})$", re.IGNORECASE)
_MAX_DEPTH = 3
"""Number of levels of sub-folders that are searched."""


def find(folder: str) -> tuple[list[str], list[str]]:
    """Returns the audio files and the CSV files below a folder, as `names` does."""
    audio, tables = [], []
    for name in names(folder):
        if _is_audio(name):
            audio.append(name)
        elif name.endswith(".csv"):
            tables.append(name)
    return audio, tables


def names(folder: str) -> list[str]:
    """Returns the sorted paths, relative to `folder`, of all files below it that are not hidden.

    On Cloud Storage this takes one call per folder and thousand files, and no call per file.
    """
    return sorted(_walk(folder, prefix="", depth=_MAX_DEPTH))


def stem(file: str) -> str:
    """Returns the name of a file without its folders and its suffix."""
    return os.path.splitext(file.rsplit("/", 1)[-1])[0]


def _walk(folder: str, *, prefix: str, depth: int) -> Iterator[str]:
    for name, is_folder in storage.entries(folder, is_file_name=_is_audio):
        if name.startswith("."):
            continue
        if not is_folder:
            yield prefix + name
        elif depth:
            yield from _walk(f"{folder}/{name}", prefix=f"{prefix}{name}/", depth=depth - 1)


def _is_audio(name: str) -> bool:
    return _AUDIO_FILE.search(name) is not None
