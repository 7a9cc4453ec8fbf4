"""Reads the classes of files, and finds the stored vectors of these files."""

import dataclasses
import functools
import os
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence

from etils import epath

from beam_jobs import sources, storage
from beam_jobs.sources import class_folders, csv_lists, label_cells, suffixes
from components.errors import UserError
from pipeline.paths import composed

_FILE_COLUMNS = ("file", "path", "filename", "file_name", "fname", "clip_id")
_LABEL_COLUMNS = ("label", "class", "category")
_MANIFEST_COLUMNS = ("labels", "classes")
"""Their cells are parsed as those of a manifest."""
_SEGMENT_COLUMNS = ("start", "start_s", "start_seconds")


@dataclasses.dataclass(frozen=True, kw_only=True)
class Labels:
    """The classes of files.

    Attributes:
        place: What the user named.
        root: The absolute path of the folder that paths are relative to.
        classes: Path of a file, with accented letters as one character each (NFC) -> its classes.
        left_out: A sentence for each row of a folder's lists that is no clip, and for each file that cannot be read.
    """

    place: str
    root: str
    classes: Mapping[str, tuple[str, ...]]
    left_out: Sequence[str] = ()

    @property
    def names(self) -> list[str]:
        """Names of all classes in alphabetical order."""
        return sorted({name for classes in self.classes.values() for name in classes})


def read(place: str) -> Labels:
    """Reads the classes of files.

    Args:
        place: A folder with a sub-folder for each class, or with lists that `diptych run` reads; or a CSV file with a
            column of files and one of their classes, which are separated by `;`, or in the columns `labels` and
            `classes` as in a manifest.

    Raises:
        UserError: There is no such file or folder, it gives labels to segments of files, or it names fewer than two
            classes.
    """
    left_out: list[str] = []
    try:
        if place.lower().endswith(".csv") and not storage.is_folder(epath.Path(place)):
            root, rows = os.path.dirname(os.path.abspath(place)), _of_table(epath.Path(place))
        else:
            listing = _listing(place)
            root, rows = listing.root, _of_clips(listing.clips)
            left_out = [row.message for row in listing.quarantined]
        classes: dict[str, tuple[str, ...]] = {}
        alike: dict[tuple[str, ...], tuple[str, ...]] = {}  # Millions of files share a few tuples.
        for given, names in rows:
            path = composed(given)
            of_file = tuple(dict.fromkeys((*classes.get(path, ()), *names)))
            classes[path] = alike.setdefault(of_file, of_file)
    except sources.SourceError as error:
        raise UserError(f"--labels: {error}.") from error
    labels = Labels(place=place, root=composed(os.path.abspath(root)), classes=classes, left_out=left_out)
    if len(labels.names) < 2:
        raise UserError(f"--labels {place} names fewer than two classes: give at least two.")
    return labels


def _of_table(table: epath.Path) -> Iterator[tuple[str, list[str]]]:
    if not table.exists():
        raise UserError(f"--labels: there is no file {table}: give a CSV file or a folder.")
    rows = csv_lists.rows(table)
    header = csv_lists.header(rows)
    known = (_FILE_COLUMNS, (*_LABEL_COLUMNS, *_MANIFEST_COLUMNS))
    files, labels = ([name for name in header if name in names] for names in known)
    if not files or not labels:
        raise UserError(
            f"--labels: the first line of {table} names the columns {', '.join(header)}: it must name file and label."
        )
    segments = [name for name in header if name in _SEGMENT_COLUMNS]
    if segments:
        raise _of_segments(f"{table} gives labels to segments (column {segments[0]})")
    for line, cells in rows:
        if csv_lists.line_breaks(cells):
            raise UserError(f"--labels: {table}:{line} has a line break in a cell: write the row on one line.")
        if len(cells) != len(header):
            raise UserError(f"--labels: {table}:{line} does not have {len(header)} columns: correct the line.")
        row = dict(zip(header, cells, strict=True))
        try:
            yield row[files[0]], _names(row[labels[0]].strip(), column=labels[0])
        except csv_lists.RowError as error:
            raise UserError(f"--labels: {table}:{line}: {error}.") from error


def _names(cell: str, *, column: str) -> Sequence[str]:
    if column in _MANIFEST_COLUMNS:
        return label_cells.parse(cell)
    return [name.strip() for name in cell.split(";") if name.strip()]


def _of_clips(clips: Iterable[sources.Clip]) -> Iterator[tuple[str, tuple[str, ...]]]:
    for clip in clips:
        # `trimmed` is None in a list of AudioSet with one segment a file: its labels are taken for the whole file.
        if clip.trimmed is False and clip.start_s is not None:
            raise _of_segments(f"the lists give labels to segments ({clip.clip_id})")
        yield clip.path, clip.labels


def _of_segments(what: str) -> UserError:
    return UserError(
        f"--labels: {what}, and vectors are averaged over whole files: cut the segments into files, or use `diptych "
        "evaluate --data`."
    )


def _listing(folder: str) -> sources.Listing:
    listing = sources.list_clips(folder)
    return sources.list_clips(folder, layout=class_folders.LAYOUT) if listing.layout == "folder" else listing


class Finder:
    """Finds the labels of files.

    Files are the same if their paths are, however these spell accented letters. Embeddings may also name files relative
    to another folder, or on another machine, and a table may leave out folders or the suffix: then they are the same if
    one path ends with the other. But a labeled file whose own path is embedded is no other file, so `v2/dog/1.wav`
    gives no label to `v1/dog/1.wav`.

    Args:
        labels: The classes.
        names: All files, as the embeddings name them. They are read when a file is not found by its path.
    """

    def __init__(self, labels: Labels, names: Iterable[str] = ()):
        self._labels = labels
        self._names = names
        self._root = os.path.join(labels.root, "")
        odd = (path for path in labels.classes if os.path.isabs(path) or os.path.normpath(path) != path)
        self._odd = {os.path.abspath(os.path.join(labels.root, path)): path for path in odd}
        self._tails: dict[int, dict[str, set[str]]] = {}
        self._users: dict[str, str] = {}

    @functools.cached_property
    def _written(self) -> dict[str, str]:
        return _by_spelling(path for path in self._labels.classes if not os.path.isabs(path))

    @functools.cached_property
    def _lengths(self) -> list[int]:
        return sorted({spelled.count("/") + 1 for spelled in self._written}, reverse=True)

    @functools.cached_property
    def _embedded(self) -> set[str]:
        return {path for path in map(self._by_path, self._names) if path is not None}

    @property
    def unused(self) -> int:
        """Number of labeled files that were not found."""
        return sum(bool(names) for path, names in self._labels.classes.items() if path not in self._users)

    def find(self, name: str) -> tuple[str, ...]:
        """Returns the classes of a file, as the embeddings name it; none if it has no label.

        Raises:
            UserError: It is not clear which labeled file it is.
        """
        path = self._by_path(name)
        if path is None:
            path = self._by_ending(name)
            if path is None or path in self._embedded:
                return ()
        user = self._users.setdefault(path, name)
        if user != name:
            raise UserError(
                f"--labels {self._labels.place}: {path} may be {user} or {name}: give paths that tell them apart."
            )
        return self._labels.classes[path]

    def _by_path(self, name: str) -> str | None:
        """Returns the labeled file with the same path. Most are found without a table of all paths."""
        place = composed(os.path.abspath(name))
        path = place.removeprefix(self._root)
        return path if path != place and path in self._labels.classes else self._odd.get(place)

    def _by_ending(self, name: str) -> str | None:
        parts = _parts(composed(name))
        for spelled in (parts, _stem("/".join(parts)).split("/")):
            for length in self._lengths:
                path = self._written.get("/".join(spelled[-length:]))
                if path is not None:
                    return path
        if len(parts) not in self._tails:
            self._tails[len(parts)] = _by_tail(self._labels, length=len(parts))
        paths = self._tails[len(parts)].get("/".join(parts), set())
        if len(paths) > 1:
            raise UserError(
                f"--labels {self._labels.place}: {' and '.join(sorted(paths)[:2])} may both be {name} of the "
                "embeddings: embed the files again with their folders in the path."
            )
        return next(iter(paths), None)


def _parts(path: str) -> list[str]:
    return [part for part in os.path.normpath(path).split("/") if part]


def _stem(path: str) -> str:
    """Returns a path without the suffix of audio."""
    return os.path.splitext(path)[0] if suffixes.is_audio(os.path.basename(path)) else path


def _by_spelling(paths: Iterable[str]) -> dict[str, str]:
    """Returns each path, and the same without the suffix if no other file has it -> the path as it is written."""
    written = {"/".join(_parts(path)): path for path in paths}
    stems = Counter(map(_stem, written))
    return {**{_stem(path): written[path] for path in written if stems[_stem(path)] == 1}, **written}


def _by_tail(labels: Labels, *, length: int) -> dict[str, set[str]]:
    """Returns the last parts of each path -> the labeled files that have them."""
    tails: dict[str, set[str]] = {}
    for path in labels.classes:
        full = os.path.abspath(os.path.join(labels.root, path))
        tails.setdefault("/".join(_parts(full)[-length:]), set()).add(path)
    return tails
