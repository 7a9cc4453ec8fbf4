"""Recognizes the layout of a source and lists its clips. Reads names and lists, never audio."""

import dataclasses
import os
import re
from collections.abc import Iterable, Sequence

from etils import epath

from beam_jobs import remote_file
from beam_jobs.sources import audioset, class_folders, esc50, files, lists, manifest, suffixes
from beam_jobs.sources.clips import (
    LAYOUTS,
    Clip,
    Listing,
    Quarantined,
    SourceError,
    describe,
    has_line_break,
    nonzero,
)
from beam_jobs.sources.files import Found
from beam_jobs.sources.lists import Lists
from beam_jobs.sources.splits import split_of

_SURROGATES = re.compile("[\ud800-\udfff]")
"""What Python decodes the bytes of a file name to if they are not UTF-8."""

_NAMED_COLUMNS = 6


def list_clips(source: epath.PathLike, *, layout: str = "auto") -> Listing:
    """Lists the clips of a source.

    Args:
        source: A folder or a CSV manifest, local or gs://.
        layout: One of `LAYOUTS`, or "auto" to recognize the layout by the files in the folder.

    Raises:
        SourceError: the source is missing or empty, holds no audio, has a list with a malformed header, has a
            manifest that is neither `manifest.csv` in the folder itself nor given as the source, or has a class whose
            name cannot be stored.
    """
    listing = _list_clips(source, layout=layout)
    _check_class_names(listing, source=source)
    return listing


def _check_class_names(listing: Listing, *, source: epath.PathLike) -> None:
    """Raises SourceError for names of classes that TFDS would read otherwise: as lines, without the spaces around."""
    what, several = ("folder", "folders") if listing.layout == class_folders.LAYOUT else ("class", "classes")
    firsts: dict[str, str] = {}
    for name in listing.label_names:
        short = name.strip()
        if has_line_break(name):
            raise SourceError(f"the name of the {what} {name!r} in {source} has a line break; rename it")
        if not short:
            raise SourceError(f"the name of the {what} {name!r} in {source} is blank; rename it")
        first = firsts.setdefault(short, name)
        if first != name:
            raise SourceError(
                f"the names of the {several} {first!r} and {name!r} in {source} differ by spaces alone; rename one"
            )


def _list_clips(source: epath.PathLike, *, layout: str) -> Listing:
    remote_file.check_url(source)
    path = epath.Path(source)
    if layout not in ("auto", *LAYOUTS):
        raise SourceError(f"unknown layout '{layout}': choose one of auto, {', '.join(LAYOUTS)}")
    if not path.exists():
        raise SourceError(f"there is no folder {path}; check the path")
    if not path.is_dir():
        if path.suffix.lower() == ".csv" and layout in ("auto", "manifest"):
            return manifest.list_clips(path)
        raise SourceError(f"{path} is a file; give the folder that holds the audio, or a CSV manifest")
    if layout == "tfds" or (layout == "auto" and is_tfds_dataset(path)):
        # Imported here because it imports TensorFlow, which takes seconds and which no other layout needs.
        from beam_jobs.sources import tfds_source

        return tfds_source.list_clips(path)
    if layout == "manifest" or (layout == "auto" and manifest.is_manifest(path / manifest.NAME)):
        return _list_manifest(path)
    return _list_audio(path, layout=layout)


TFDS_FILES = frozenset({"dataset_info.json", "features.json"})
"""Names of the files that make a folder that of a prepared TFDS dataset."""


def is_tfds_dataset(folder: epath.Path) -> bool:
    """Returns whether a folder is that of a prepared TFDS dataset."""
    return all((folder / name).exists() for name in sorted(TFDS_FILES))


def _list_manifest(folder: epath.Path) -> Listing:
    """Lists the clips of the manifest in a folder. The other files there are counted."""
    listing = manifest.list_clips(folder / manifest.NAME)
    found = files.walk(str(folder))
    rows = [*listing.clips, *(row.clip for row in listing.quarantined)]
    spellings = manifest.Spellings(listing.root)
    named = {spellings.of(clip.path) for clip in rows}
    ignored = {
        f"audio files that no row of {manifest.NAME} names": sum(name not in named for name in found.audio),
        "folders that cannot be read": len(found.unreadable),
        **found.left_out(unread_tables=len(found.tables) - 1),
    }
    return dataclasses.replace(listing, ignored=nonzero(ignored))


def _list_audio(folder: epath.Path, *, layout: str) -> Listing:
    """Lists a folder of audio files, with or without the lists of ESC-50 or AudioSet."""
    found = files.walk(str(folder))
    if not found.audio:
        raise SourceError(_no_audio(folder, found))
    audio, misnamed_audio = _partition_utf8(found.audio)
    tables, misnamed_tables = _partition_utf8(found.tables)
    of = Lists((), (), ()) if layout in ("folder", class_folders.LAYOUT) else lists.find(folder, tables)
    ignored = nonzero({"CSV lists whose name is not UTF-8": len(misnamed_tables)})
    if layout == "esc50" or (layout == "auto" and of.esc50):
        used = _only(folder, of.esc50) if of.esc50 else esc50.TABLE
        listing, read = esc50.list_clips(folder, audio, table_name=used), [used]
    elif layout == "audioset" or (layout == "auto" and of.segments):
        listing = audioset.list_clips(folder, audio, segment_lists=of.segments, class_lists=of.classes)
        read = [*of.segments, *of.classes[:1]]
    elif layout == class_folders.LAYOUT:
        try:
            listing, read = class_folders.list_clips(folder, audio, repeated=found.repeated), []
        except SourceError as error:
            raise SourceError(f"{error}{_not_counted(misnamed_audio)}") from error
    else:
        if of.manifests:
            raise SourceError(_unread_manifest(folder, of.manifests))
        listing = _list_bare_folder(folder, audio, repeated=found.repeated)
        no_labels = _no_labels(folder, audio, tables, layout=layout) + _not_counted(misnamed_audio)
        listing = dataclasses.replace(listing, no_labels=no_labels)
        ignored |= nonzero({f"{manifest.NAME} without a column 'path'": tables.count(manifest.NAME)})
        read = [name for name in tables if name == manifest.NAME]
    unreadable = [_quarantine_unreadable(name, reason) for name, reason in found.unreadable.items()]
    left_out = found.left_out(unread_tables=len(set(tables).difference(read)))
    return dataclasses.replace(
        listing,
        quarantined=[*listing.quarantined, *map(_quarantine_misnamed, misnamed_audio), *unreadable],
        ignored={**listing.ignored, **ignored, **left_out},
        lists=tuple(os.fspath(folder / name) for name in read),
    )


def _list_bare_folder(folder: epath.Path, audio: Sequence[str], *, repeated: frozenset[str]) -> Listing:
    return Listing(
        root=str(folder),
        clips=[Clip(clip_id=name, path=name, split=split_of(name)) for name in audio if name not in repeated],
        layout="folder",
        ignored=nonzero({files.REPEATED: len(repeated)}),
    )


def _only(folder: epath.Path, names: Sequence[str]) -> str:
    if len(names) > 1:
        raise SourceError(
            f"{names[0]} and {names[1]} in {folder} both have the columns of ESC-50's list; give the folder of one of "
            "them"
        )
    return names[0]


def _partition_utf8(names: Iterable[str]) -> tuple[list[str], list[str]]:
    """Separates the names in UTF-8 from those in another encoding, which neither lists nor examples can hold."""
    utf8, other = [], []
    for name in names:
        if _SURROGATES.search(name):
            other.append(name)
        else:
            utf8.append(name)
    return utf8, other


def _not_counted(names: Sequence[str]) -> str:
    """Says at the end of a sentence that files, and folders in their paths, are not looked at for their names."""
    if not names:
        return ""
    files_ = "1 audio file does" if len(names) == 1 else f"{len(names):,} audio files do"
    return f"; {files_} not count, because the path is not UTF-8: rename {_printable(names[0])}"


def _quarantine_misnamed(name: str) -> Quarantined:
    clip = Clip(clip_id=_printable(name), path=_printable(name))
    return Quarantined(clip, "unreadable", "its name is not UTF-8; rename the file")


def _quarantine_unreadable(name: str, reason: str) -> Quarantined:
    clip = Clip(clip_id=_printable(name), path=_printable(name))
    return Quarantined(clip, "unreadable", f"{reason}; repair or remove it, or give this user the right to read it")


def _printable(name: str) -> str:
    return name.encode(errors="surrogateescape").decode(errors="backslashreplace")


def _no_labels(folder: epath.Path, audio: Sequence[str], tables: Sequence[str], *, layout: str) -> str:
    """Says why a folder of audio has no labels. `Listing.no_labels` is the place for it."""
    if layout == "folder":
        return "no labels were looked for, because audio_example_gen.layout is folder"
    sought = f"no labels were found: {folder} holds no {manifest.NAME}, {esc50.TABLE} or *_segments.csv"
    classes = len(class_folders.names(audio))
    if classes > 1:
        sought += f" (audio_example_gen.layout={class_folders.LAYOUT} takes its {classes:,} sub-folders for classes)"
    if not tables:
        return sought
    first = min(tables, key=lambda name: (name.count("/"), name))
    columns = ", ".join(lists.columns(folder / first)[:_NAMED_COLUMNS]) or "no readable line"
    return f"{sought}, and no other CSV file with their columns ({first} has {columns})"


def _unread_manifest(folder: epath.Path, manifests: Sequence[str]) -> str:
    if manifest.NAME in manifests:
        return (
            f"{folder / manifest.NAME} begins with a comment, but its first line must name the columns; remove the "
            "lines before that"
        )
    first = folder / manifests[0]
    others = f" (and {len(manifests) - 1:,} more)" if manifests[1:] else ""
    return (
        f"{first}{others} lists clips, but only {manifest.NAME} in the folder itself is read; give {first} as the "
        "source (--data), or set audio_example_gen.layout=folder to read the audio without labels"
    )


def _no_audio(folder: epath.Path, found: Found) -> str:
    """Says in one sentence what is wrong with a folder without audio."""
    if found.unreadable:
        name, reason = next(iter(found.unreadable.items()))
        return (
            f"there is no audio in {folder} that can be read ({_printable(name)}: {reason}); give this user the right "
            "to read it"
        )
    if not any(folder.iterdir()):
        return f"the folder {folder} is empty; give one that holds audio"
    # TFDS keeps each version of a dataset in a folder of its own, and users easily give the folder above.
    datasets = sorted(str(path.parent) for path in folder.glob("*/dataset_info.json"))
    hint = f", or the TFDS dataset in {datasets[-1]}" if datasets else ""
    left_out = describe(found.left_out(unread_tables=len(found.tables)))
    holds = f", only {left_out}" if left_out else ""
    return (
        f"there is no audio in {folder} or its sub-folders{holds}; give a folder with files ending in one of "
        f"{' '.join(suffixes.AUDIO + suffixes.VIDEO)}{hint}"
    )
