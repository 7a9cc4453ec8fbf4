"""The files of a source, local or remote, with as few calls as the file system allows."""

import re
from collections.abc import Iterator

from beam_jobs import storage

AUDIO_FORMATS = "wav flac ogg oga opus mp3 m4a mp4 aac webm mkv mka aif aiff au w64 caf wma 3gp"
_AUDIO_FILE = re.compile(rf"\.({AUDIO_FORMATS.replace(' ', '|')})$", re.IGNORECASE)
_DEPTH = 3  # levels of sub-folders that are searched


def find(folder: str) -> tuple[list[str], list[str]]:
    """Those of `names` that are audio, and those that are CSV lists."""
    audio, tables = [], []
    for name in names(folder):
        if _is_audio(name):
            audio.append(name)
        elif name.endswith(".csv"):
            tables.append(name)
    return audio, tables


def names(folder: str) -> list[str]:
    """Sorted paths, relative to `folder`, of the files below it; hidden ones do not count.

    On Cloud Storage that takes one call per folder and thousand files, and none per file.
    """
    return sorted(_walk(folder, prefix="", depth=_DEPTH))


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
