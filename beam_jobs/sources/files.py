"""Finds the audio below a folder, local or remote: one walk for `diptych run`, the digest of its source, and `embed`.

The walk goes to any depth, and passes over hidden files and folders (`.x`, among them macOS's `._x`), `__MACOSX`, and
what Diptych itself writes under a `--root`. It follows links, and reads no folder twice.
"""

import dataclasses
import os
import stat
from collections import defaultdict
from collections.abc import Iterable, Mapping
from typing import NamedTuple

from beam_jobs import google_storage, storage
from beam_jobs.sources import suffixes
from beam_jobs.sources.clips import nonzero

ROOT_MARK = ".pipeline"
"""The file that marks a folder as a `--root`."""

ROOT_ENTRIES = frozenset({"artifacts", "logs", "metadata.sqlite", "report.json", "staging", "tensorboard", "work"})
"""What Diptych writes there under names that are not hidden."""

REPEATED = "files under a second name, by a link"
"""Reason for leaving out what is in `Found.repeated`."""

_MACOS_FOLDER = "__MACOSX"  # Archives of macOS keep there what is no content of the files.
_MOST_SUFFIXES = 20


@dataclasses.dataclass(frozen=True, kw_only=True)
class Found:
    """What is below a folder. Names are relative to it, with slashes, and sorted.

    Attributes:
        audio: The files whose suffix is that of audio or video.
        repeated: Those of `audio` that are a file of `audio` under a second name, because of a link or a hard link.
        tables: The CSV files.
        others: All other files.
        unreadable: What cannot be read, with the reason: folders, whose names end with a slash, links that lead
            nowhere, and pipes and the like that are named as audio or as lists.
        listed: Name -> what the listing told of the file, on Cloud Storage with Google's client.
    """

    audio: list[str]
    repeated: frozenset[str]
    tables: list[str]
    others: list[str]
    unreadable: Mapping[str, str]
    listed: Mapping[str, google_storage.Listed] = dataclasses.field(default_factory=dict)

    def left_out(self, *, unread_tables: int) -> dict[str, int]:
        """Counts what is neither audio nor a list that is read, by suffix.

        Args:
            unread_tables: Number of the CSV files that are not read.
        """
        counts = suffixes.count(self.others)
        counts[".csv"] += unread_tables
        without = counts.pop("", 0)
        named = counts.most_common(_MOST_SUFFIXES)
        return nonzero(
            {
                **{f"files that end in {suffix}": number for suffix, number in named},
                "files that end otherwise": counts.total() - sum(number for _, number in named),
                "files without a suffix": without,
            }
        )


def walk(folder: str) -> Found:
    """Finds the files below a folder, local or remote.

    On this machine it looks at links, but at no file. On Cloud Storage it takes a call for each thousand files, and
    without Google's client also one for each folder. Of several names of a file, the first in order counts; a link only
    if there is no other name.

    Raises:
        OSError: The folder itself cannot be read.
    """
    return _Walk(folder).found()


def stem(file: str) -> str:
    """Returns the name of a file without its folders and its suffix."""
    return os.path.splitext(file.rsplit("/", 1)[-1])[0]


class _Names(NamedTuple):
    """The names in one folder, relative to the top. Those of folders end with a slash."""

    audio: list[str]
    others: list[str]
    folders: list[str]
    links: list[str]

    @classmethod
    def none(cls) -> "_Names":
        return cls([], [], [], [])

    def without_root(self, folder: str) -> "_Names":
        """Returns the names in a `--root` without those of Diptych's own files and folders."""
        own = {f"{folder}{name}" for name in ROOT_ENTRIES}
        kept = ([name for name in names if name.rstrip("/") not in own] for names in self)
        return _Names(*kept)


class _Walk:
    """One walk over a folder and everything below it."""

    def __init__(self, top: str):
        self._top = top
        self._audio: list[str] = []
        self._others: list[str] = []
        self._repeated: set[str] = set()
        self._unreadable: dict[str, str] = {}
        self._folders: dict[tuple[int, int], str] = {}
        """Device and inode -> name."""
        self._files: dict[int, dict[int, str]] = {}
        """Device -> inode -> name, of the audio files; pairs would take more memory."""
        self._listed = google_storage.list_files(top) if google_storage.is_used_for(top) else {}
        self._entries = _entries_by_folder(self._listed)

    def found(self) -> Found:
        folders, links = [""], []
        while folders:
            names = self._read(folders.pop())
            self._audio += names.audio
            self._others += names.others
            folders += sorted(names.folders, reverse=True)
            links += names.links
            if not folders:
                # Links come last, so that no link changes the names of what is there without it.
                folders, links = self._follow(sorted(links)), []
        return Found(
            audio=sorted(self._audio),
            repeated=frozenset(self._repeated),
            tables=sorted(filter(suffixes.is_table, self._others)),
            others=sorted(name for name in self._others if not suffixes.is_table(name)),
            unreadable=dict(sorted(self._unreadable.items())),
            listed=self._listed,
        )

    def _read(self, folder: str) -> _Names:
        """Returns what is in one folder; nothing if it cannot be read or was read under another name.

        Args:
            folder: Empty for the top, otherwise a relative name that ends with a slash.
        """
        if storage.is_remote(self._top):
            return self._read_remote(folder)
        try:
            status = os.stat(self._path(folder))
            return _Names.none() if self._is_known_folder(status, folder) else self._read_local(folder, status.st_dev)
        except OSError as error:
            if not folder:
                raise
            self._unreadable[folder] = error.strerror or str(error)
            return _Names.none()

    def _read_remote(self, folder: str) -> _Names:
        names = _Names.none()
        is_root = False
        if google_storage.is_used_for(self._top):
            entries = self._entries.get(folder, ())
        else:
            entries = storage.entries(self._path(folder), is_file_name=suffixes.is_audio)
        for name, is_folder in entries:
            if _is_passed_over(name):
                is_root |= name == ROOT_MARK
            elif is_folder:
                names.folders.append(f"{folder}{name}/")
            else:
                (names.audio if suffixes.is_audio(name) else names.others).append(folder + name)
        return names.without_root(folder) if is_root else names

    def _read_local(self, folder: str, device: int) -> _Names:
        names = _Names.none()
        inodes = self._files.setdefault(device, {})
        is_root = False
        with os.scandir(self._path(folder)) as entries:
            for entry in entries:
                name = folder + entry.name
                if _is_passed_over(entry.name):
                    is_root |= entry.name == ROOT_MARK
                elif entry.is_symlink():
                    names.links.append(name)
                elif entry.is_dir(follow_symlinks=False):
                    names.folders.append(f"{name}/")
                elif _is_opened(name) and not entry.is_file(follow_symlinks=False):
                    self._unreadable[name] = storage.NO_FILE
                elif suffixes.is_audio(name):
                    names.audio.append(name)
                    self._note_file(name, inode=entry.inode(), inodes=inodes)
                else:
                    names.others.append(name)
        return names.without_root(folder) if is_root else names

    def _follow(self, links: list[str]) -> list[str]:
        """Keeps the files that links lead to, and returns the folders, the last one first."""
        folders = []
        for name in links:
            is_audio = suffixes.is_audio(name)
            try:
                status = os.stat(self._path(name))
            except OSError as error:
                if is_audio:
                    self._audio.append(name)  # The decoder says what is wrong with it.
                else:
                    self._unreadable[name] = f"a link that leads nowhere ({error.strerror})"
                continue
            if stat.S_ISDIR(status.st_mode):
                folders.append(f"{name}/")
            elif _is_opened(name) and not stat.S_ISREG(status.st_mode):
                self._unreadable[name] = storage.NO_FILE
            elif is_audio:
                self._audio.append(name)
                inodes = self._files.setdefault(status.st_dev, {})
                self._note_file(name, inode=status.st_ino, inodes=inodes, is_link=True)
            else:
                self._others.append(name)
        return folders[::-1]

    def _is_known_folder(self, status: os.stat_result, folder: str) -> bool:
        """Notes a folder, and returns whether it was read under another name."""
        known = self._folders.setdefault((status.st_dev, status.st_ino), folder)
        return known != folder and self._is_same(known, folder)

    def _note_file(self, name: str, *, inode: int, inodes: dict[int, str], is_link: bool = False) -> None:
        """Notes an audio file, and whether it is there under another name."""
        known = inodes.setdefault(inode, name)
        if known == name or not self._is_same(known, name):
            return
        second = name if is_link else max(known, name)
        self._repeated.add(second)
        if second == known:
            inodes[inode] = name

    def _is_same(self, one: str, other: str) -> bool:
        """Returns whether two names are those of one file. On some file systems inodes alone do not tell."""
        try:
            return os.path.samefile(self._path(one), self._path(other))
        except OSError:
            return False

    def _path(self, name: str) -> str:
        # Not all file systems of TensorFlow list a folder whose name ends with a slash.
        return os.path.join(self._top, name.rstrip("/")) if name else self._top


def _entries_by_folder(names: Iterable[str]) -> dict[str, set[storage.Entry]]:
    """Returns what is in each folder. Names of folders are relative and end with a slash; that of the top is empty."""
    found: dict[str, set[storage.Entry]] = defaultdict(set)
    for name in names:
        folder, slash, file = name.rpartition("/")
        found[folder + slash].add(storage.Entry(file, is_folder=False))
        while folder:
            parent, slash, last = folder.rpartition("/")
            found[parent + slash].add(storage.Entry(last, is_folder=True))
            folder = parent
    return found


def _is_opened(name: str) -> bool:
    """Whether a file of this name is read, if not by the decoder then as a list."""
    return suffixes.is_audio(name) or suffixes.is_table(name)


def _is_passed_over(name: str) -> bool:
    return name.startswith(".") or name == _MACOS_FOLDER
