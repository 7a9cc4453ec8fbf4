"""Recognizes the layout of a source and lists its clips. Reads names and lists, never audio."""

import dataclasses
import re
from collections.abc import Iterable

from etils import epath

from beam_jobs.sources import audioset, esc50, files, manifest
from beam_jobs.sources.clips import LAYOUTS, Clip, Listing, Quarantined, SourceError, nonzero
from beam_jobs.sources.splits import split_of

_SURROGATES = re.compile("[\ud800-\udfff]")
"""What Python decodes the bytes of a file name to if they are not UTF-8."""


def list_clips(source: epath.PathLike, *, layout: str = "auto") -> Listing:
    """Lists the clips of a source.

    Args:
        source: A folder or a CSV manifest, local or gs://.
        layout: One of `LAYOUTS`, or "auto" to recognize the layout by the files in the folder.

    Raises:
        SourceError: the source is missing or empty, holds no audio, or has a list with a malformed header.
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
    if layout == "tfds" or (layout == "auto" and _is_tfds_dataset(path)):
        # Imported here because it imports TensorFlow, which takes seconds and which no other layout needs.
        from beam_jobs.sources import tfds_source

        return tfds_source.list_clips(path)
    if layout == "manifest" or (layout == "auto" and manifest.is_manifest(path / manifest.NAME)):
        return manifest.list_clips(path / manifest.NAME)
    return _list_audio(path, layout=layout)


def _is_tfds_dataset(folder: epath.Path) -> bool:
    return (folder / "dataset_info.json").exists() and (folder / "features.json").exists()


def _list_audio(folder: epath.Path, *, layout: str) -> Listing:
    """Lists a folder of audio files, with or without the lists of ESC-50 or AudioSet."""
    audio, tables = files.find(str(folder))
    if not audio:
        raise SourceError(_no_audio(folder))
    audio, misnamed_audio = _partition_utf8(audio)
    tables, misnamed_tables = _partition_utf8(tables)
    if layout == "esc50" or (layout == "auto" and esc50.TABLE in tables):
        listing = esc50.list_clips(folder, audio)
    elif layout == "audioset" or (layout == "auto" and audioset.find_lists(tables)):
        listing = audioset.list_clips(folder, audio, tables)
    else:
        listing = _list_bare_folder(folder, audio, tables)
    return dataclasses.replace(
        listing,
        quarantined=[*listing.quarantined, *map(_quarantine_misnamed, misnamed_audio)],
        ignored={**listing.ignored, **nonzero({"CSV lists whose name is not UTF-8": len(misnamed_tables)})},
    )


def _list_bare_folder(folder: epath.Path, audio: list[str], tables: list[str]) -> Listing:
    return Listing(
        root=str(folder),
        clips=[Clip(clip_id=name, path=name, split=split_of(name)) for name in audio],
        layout="folder",
        ignored=nonzero({f"{manifest.NAME} without a column 'path'": tables.count(manifest.NAME)}),
    )


def _partition_utf8(names: Iterable[str]) -> tuple[list[str], list[str]]:
    """Separates the names in UTF-8 from those in another encoding, which neither lists nor examples can hold."""
    utf8, other = [], []
    for name in names:
        if _SURROGATES.search(name):
            other.append(name)
        else:
            utf8.append(name)
    return utf8, other


def _quarantine_misnamed(name: str) -> Quarantined:
    printable = name.encode(errors="surrogateescape").decode(errors="backslashreplace")
    return Quarantined(Clip(clip_id=printable, path=printable), "unreadable", "its name is not UTF-8; rename the file")


def _no_audio(folder: epath.Path) -> str:
    """Says in one sentence what is wrong with a folder without audio."""
    if not any(folder.iterdir()):
        return f"the folder {folder} is empty; give one that holds audio"
    # TFDS keeps each version of a dataset in a folder of its own, and users easily give the folder above.
    datasets = sorted(str(path.parent) for path in folder.glob("*/dataset_info.json"))
    hint = f", or the TFDS dataset in {datasets[-1]}" if datasets else ""
    return (
        f"there is no audio in {folder} or its sub-folders; give a folder with files ending in one of "
        f"{files.AUDIO_FORMATS}{hint}"
    )
