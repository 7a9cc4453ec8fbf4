"""Finds what to embed: files, folders, manifests, folders of examples, and the lists of ESC-50 and AudioSet."""

import contextlib
import dataclasses
import hashlib
import json
import os
from array import array
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence

from etils import epath

from beam_jobs import command_lines, examples, sources, storage
from beam_jobs.sources import given, manifest
from components.errors import UserError
from pipeline.serving.embedding import groups

_LISTED_LAYOUTS = ("esc50", "audioset")
_SEGMENT_BYTES_PER_S = 176_400
"""Size of a segment of a recording, as if that were CD sound."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Files:
    """A group of audio files and segments of them.

    Attributes:
        clips: Each with the place of its file as `path`.
        sizes: Size of each in bytes.
        file: None, unlike that of `StoredClips`.
    """

    clips: Sequence[sources.Clip]
    sizes: Sequence[int]
    file: None = None

    def __len__(self) -> int:
        return len(self.clips)


@dataclasses.dataclass(frozen=True, kw_only=True, eq=False)
class StoredFile:
    """A file of examples. It is another one if the user gives it twice.

    Attributes:
        info: Its folder.
        path: The file.
        clips: Number of its clips.
    """

    info: examples.ExamplesInfo
    path: str
    clips: int


@dataclasses.dataclass(frozen=True, kw_only=True)
class StoredClips:
    """A group of consecutive clips in a file of examples.

    Attributes:
        file: The file.
        first: Number of the first clip in the file.
        sizes: Size of each clip in bytes, on average of the file.
    """

    file: StoredFile
    first: int
    sizes: Sequence[int]

    def __len__(self) -> int:
        return len(self.sizes)


Group = Files | StoredClips


@dataclasses.dataclass(frozen=True, kw_only=True)
class Inputs:
    """What to embed.

    Attributes:
        groups: All clips, in order.
        has_labels: Whether some list gives classes.
        quarantined: What a list or a folder names that is no clip.
        left_out: What it is -> number of files below folders that are not read.
        digest: Of what is embedded: names, sizes and times of the files, segments, labels. Files in buckets count with
            their names alone, because asking for the rest takes a request for each.
        lists: The lists that were read.
    """

    groups: Sequence[Group]
    has_labels: bool
    quarantined: Sequence[sources.Quarantined]
    left_out: dict[str, int]
    digest: str
    lists: Sequence[str] = ()

    def files(self) -> Iterator[str]:
        """Yields the path of every file that is read: the lists, the audio and the files of examples."""
        yield from self.lists
        for group in self.groups:
            if group.file:
                yield group.file.path
            else:
                yield from (clip.path for clip in group.clips)


def find(paths: Sequence[str]) -> Inputs:
    """Finds what to embed, in the order of the paths.

    A folder that holds examples, a `manifest.csv`, or the lists of ESC-50 or AudioSet counts as what it is for
    `diptych run --data`. Of any other folder, all audio is taken.

    Raises:
        UserError: A path is empty or does not exist, a list cannot be read, or there is nothing to embed.
    """
    if "" in paths:
        raise UserError("One of the paths to embed is empty: give audio files, or folders of them.")
    finder = _Finder()
    try:
        for path in paths:
            finder.add(path)
    except FileNotFoundError as error:
        raise UserError(f"There is no file {error.args[0]}: give audio files, or folders of them.") from error
    except sources.SourceError as error:
        raise UserError(f"{error}.") from error
    found = finder.found()
    if not found.groups:
        raise _nothing_to_embed(paths, found)
    return found


class _Finder:
    def __init__(self):
        self._groups: list[Group] = []
        self._waiting: list[sources.Clip] = []  # Found since the last group.
        self._has_labels = False
        self._quarantined: list[sources.Quarantined] = []
        self._left_out: Counter[str] = Counter()
        self._digest = hashlib.sha256()
        self._lists: list[str] = []

    def found(self) -> Inputs:
        self._divide_waiting()
        return Inputs(
            groups=self._groups,
            has_labels=self._has_labels,
            quarantined=self._quarantined,
            left_out=dict(self._left_out),
            digest=self._digest.hexdigest(),
            lists=self._lists,
        )

    def add(self, path: str) -> None:
        """Adds what a path names. See `find` for the errors."""
        if not given.is_folder(path):
            if path.lower().endswith(".csv"):
                self._add_listing(sources.list_clips(path))
            else:
                self._add_given(path)
        elif sources.is_tfds_dataset(epath.Path(path)):
            self._add_examples(path)
        elif (listing := _listed(path)) is not None:
            self._add_listing(listing)
        else:
            self._add_given(path)

    def _add_given(self, path: str) -> None:
        found = given.find([path])
        self._left_out.update(found.left_out)
        for name, reason in found.unreadable.items():
            clip = sources.Clip(clip_id=name, path=name)
            self._quarantined.append(sources.Quarantined(clip, "unreadable", reason))
        self._waiting += [sources.Clip(clip_id=name, path=name) for name in found.files]

    def _add_listing(self, listing: sources.Listing) -> None:
        self._lists += listing.lists
        self._left_out.update(listing.ignored)
        self._has_labels |= bool(listing.label_names)
        self._quarantined += (row._replace(clip=_placed(row.clip, listing)) for row in listing.quarantined)
        self._waiting += [_placed(clip, listing) for clip in listing.clips]

    def _divide_waiting(self) -> None:
        """Divides what consecutive paths name together: a group for each file that is given alone takes far longer."""
        clips, self._waiting = self._waiting, []
        sizes = array("q", self._measure(clips))
        for first, stop in groups.split(sizes):
            self._groups.append(Files(clips=clips[first:stop], sizes=sizes[first:stop]))

    def _measure(self, clips: Iterable[sources.Clip]) -> Iterator[int]:
        """Yields the size of each clip, and adds what decides its embedding to the digest."""
        for clip in clips:
            size, modified_ns = _status(clip.path)
            self._note(clip.path, size, modified_ns, clip.start_s, clip.end_s, clip.trimmed, clip.labels)
            is_segment = clip.start_s is not None and not clip.trimmed
            # Rounded last, because the size of 1e305 s is infinite.
            yield int(min(size, (clip.end_s - clip.start_s) * _SEGMENT_BYTES_PER_S)) if is_segment else size

    def _add_examples(self, folder: str) -> None:
        self._divide_waiting()
        try:
            info = examples.read_info(folder)
        except examples.DamagedExamplesError as error:
            ingest = command_lines.diptych("run", "--preset", "tiny", "--data", folder, "--until", "AudioExampleGen")
            raise UserError(
                f"{folder} is a TFDS dataset, but does not hold examples that AudioExampleGen wrote ({error}): "
                f"`{ingest}` writes them."
            ) from error
        self._has_labels |= bool(info.label_names)
        for split in info.splits:
            for path, count in zip(info.files(split), info.shard_lengths[split], strict=True):
                size, modified_ns = _status(path)
                self._note(path, size, modified_ns, count)
                file = StoredFile(info=info, path=path, clips=count)
                sizes = [size // max(1, count)] * count
                for first, stop in groups.split(sizes):
                    self._groups.append(StoredClips(file=file, first=first, sizes=sizes[first:stop]))

    def _note(self, *values: object) -> None:
        self._digest.update(json.dumps(values).encode() + b"\n")


def _listed(folder: str) -> sources.Listing | None:
    """Returns the clips of a folder that has lists of them, or None if all audio in it is to be read."""
    if manifest.is_manifest(epath.Path(folder) / manifest.NAME):
        return sources.list_clips(folder)
    with contextlib.suppress(sources.SourceError, OSError):
        listing = sources.list_clips(folder)
        return listing if listing.layout in _LISTED_LAYOUTS else None
    return None


def _placed(clip: sources.Clip, listing: sources.Listing) -> sources.Clip:
    """Returns a clip with the place of its file as `path`; with its id, if it has no file."""
    path = os.fspath(sources.locate(listing.root, clip.path)) if clip.path else clip.clip_id
    return dataclasses.replace(clip, path=path)


def _status(path: str) -> tuple[int, int]:
    """Returns the size of a local file and when it was changed, in ns; zeros if the decoder is to say what is wrong."""
    if storage.is_remote(path):
        return 0, 0
    try:
        status = os.stat(path)
    except (OSError, ValueError):
        return 0, 0
    return status.st_size, status.st_mtime_ns


def _nothing_to_embed(paths: Sequence[str], found: Inputs) -> UserError:
    left_out = f"only {sources.describe(found.left_out)}" if found.left_out else ""
    unusable = "; ".join(f"{row.clip.path}: {row.message}" for row in found.quarantined)
    why = "; ".join(filter(None, (left_out, unusable)))
    return UserError(
        f"There is no file in {', '.join(paths)} that is audio{f' ({why})' if why else ''}: give audio files, or "
        "folders of them."
    )
