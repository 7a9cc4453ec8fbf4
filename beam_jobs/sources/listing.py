"""Tells what layout a folder has and lists its clips. Reads names and lists only, never audio."""

import re
from collections.abc import Iterator

from etils import epath

from beam_jobs.sources import audioset, esc50
from beam_jobs.sources.clips import LAYOUTS, Clip, Listing, SourceError, split_of

AUDIO_FORMATS = "wav flac ogg oga opus mp3 m4a mp4 aac webm mkv mka aif aiff au w64 caf wma 3gp"
_AUDIO_FILE = re.compile(rf"\.({AUDIO_FORMATS.replace(' ', '|')})$", re.IGNORECASE)
_DEPTH = 3  # levels of sub-folders searched for audio


def list_clips(source: epath.PathLike, *, layout: str = "auto") -> Listing:
    """Lists the clips of a folder, local or gs://.

    Args:
        source: The folder.
        layout: One of `LAYOUTS`, or "auto" to tell by the files that are there.

    Raises:
        SourceError: if the folder is missing or empty, holds no audio, or if a list in it is malformed.
    """
    folder = epath.Path(source)
    readers = {"audioset": audioset.list_clips, "esc50": esc50.list_clips, "folder": _list_folder}
    if layout not in ("auto", *readers):
        raise SourceError(f"unknown layout '{layout}': choose one of auto, {', '.join(LAYOUTS)}")
    if not folder.exists():
        raise SourceError(f"there is no folder {folder}; check the path")
    if not folder.is_dir():
        raise SourceError(f"{folder} is a file; give the folder that holds the audio")
    if not any(folder.iterdir()):
        raise SourceError(f"the folder {folder} is empty; give one that holds audio")
    if layout == "auto":
        layout = _detect(folder)
    files = sorted(_audio_files(folder))
    if not files:
        raise SourceError(
            f"there is no audio in {folder} or its sub-folders; give a folder with files ending in one of "
            f"{AUDIO_FORMATS}"
        )
    return readers[layout](folder, files)


def _detect(folder: epath.Path) -> str:
    if (folder / "meta" / "esc50.csv").exists():
        return "esc50"
    return "audioset" if audioset.find_lists(folder) else "folder"


def _audio_files(folder: epath.Path, *, prefix: str = "", depth: int = _DEPTH) -> Iterator[str]:
    """Paths relative to the source; hidden files and folders do not count."""
    for path in folder.iterdir():
        if path.name.startswith("."):
            continue
        if _AUDIO_FILE.search(path.name):
            yield prefix + path.name
        elif depth and path.is_dir():
            yield from _audio_files(path, prefix=f"{prefix}{path.name}/", depth=depth - 1)


def _list_folder(folder: epath.Path, files: list[str]) -> Listing:
    del folder
    return Listing(clips=[Clip(clip_id=file, path=file, split=split_of(file)) for file in files], layout="folder")
