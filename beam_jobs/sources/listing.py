"""Tells what layout a source has and lists its clips. Reads names and lists only, never audio."""

import dataclasses
import re

from etils import epath

from beam_jobs.sources import audioset, esc50, files, manifest, tfds_source
from beam_jobs.sources.clips import LAYOUTS, Clip, Listing, Refused, SourceError, counted, split_of

_OTHER_CODING = re.compile("[\ud800-\udfff]")  # what Python makes of bytes that are not UTF-8


def list_clips(source: epath.PathLike, *, layout: str = "auto") -> Listing:
    """Lists the clips of a source, local or gs://.

    Args:
        source: A folder, or a CSV manifest.
        layout: One of `LAYOUTS`, or "auto" to tell by the files that are there.

    Raises:
        SourceError: if the source is missing or empty, holds no audio, or if the header of a list in it is malformed.
    """
    path = epath.Path(source)
    if layout not in ("auto", *LAYOUTS):
        raise SourceError(f"unknown layout '{layout}': choose one of auto, {', '.join(LAYOUTS)}")
    if not path.exists():
        raise SourceError(f"there is no folder {path}; check the path")
    if not path.is_dir():
        if path.suffix.lower() == ".csv" and layout in ("auto", "manifest"):
            return manifest.list_clips(path)
        raise SourceError(f"{path} is a file; give the folder that holds the audio, or a CSV manifest")
    if layout == "tfds" or (layout == "auto" and tfds_source.is_dataset(path)):
        return tfds_source.list_clips(path)
    if layout == "manifest" or (layout == "auto" and manifest.is_manifest(path / manifest.NAME)):
        return manifest.list_clips(path / manifest.NAME)
    audio, tables = files.find(str(path))
    if not audio:
        raise SourceError(_no_audio(path))
    (audio, misnamed), (tables, misnamed_tables) = _in_utf8(audio), _in_utf8(tables)
    listing = _list_files(path, audio, tables, layout)
    return dataclasses.replace(
        listing,
        refused=[*listing.refused, *map(_refused, misnamed)],
        left_out={**listing.left_out, **counted({"CSV lists whose name is not UTF-8": len(misnamed_tables)})},
    )


def _list_files(folder: epath.Path, audio: list[str], tables: list[str], layout: str) -> Listing:
    if layout == "esc50" or (layout == "auto" and esc50.TABLE in tables):
        return esc50.list_clips(folder, audio)
    if layout == "audioset" or (layout == "auto" and audioset.find_lists(tables)):
        return audioset.list_clips(folder, audio, tables)
    return _list_folder(folder, audio, tables)


def _in_utf8(names: list[str]) -> tuple[list[str], list[str]]:
    """The names in UTF-8, and those in another coding, which no list and no example can hold."""
    bad = [name for name in names if _OTHER_CODING.search(name)]
    return ([name for name in names if not _OTHER_CODING.search(name)], bad) if bad else (names, bad)


def _refused(misnamed: str) -> Refused:
    shown = misnamed.encode(errors="surrogateescape").decode(errors="backslashreplace")
    return Refused(Clip(clip_id=shown, path=shown), "unreadable", "its name is not UTF-8; rename the file")


def _no_audio(folder: epath.Path) -> str:
    if not any(folder.iterdir()):
        return f"the folder {folder} is empty; give one that holds audio"
    # TFDS keeps a dataset in a folder per version, and the one above is easily given instead.
    found = sorted(str(path.parent) for path in folder.glob("*/dataset_info.json"))
    hint = f", or the TFDS dataset in {found[-1]}" if found else ""
    return (
        f"there is no audio in {folder} or its sub-folders; give a folder with files ending in one of "
        f"{files.AUDIO_FORMATS}{hint}"
    )


def _list_folder(folder: epath.Path, audio: list[str], tables: list[str]) -> Listing:
    return Listing(
        root=str(folder),
        clips=[Clip(clip_id=name, path=name, split=split_of(name)) for name in audio],
        layout="folder",
        left_out=counted({f"{manifest.NAME} without a column 'path'": tables.count(manifest.NAME)}),
    )
