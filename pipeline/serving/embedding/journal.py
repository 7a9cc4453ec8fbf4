"""The finished groups of an output, in the folder `OUTPUT.parts` beside it.

    journal.jsonl    what decides the result, then a line for each finished group, in order
    00000.arrow ...  the rows of a group, see `part`
    lock             keeps a second process out

A group is finished once its line is written, which is after its rows are. The line has a digest of itself and of the
rows. Whatever else is in the folder is written again, and so is every group from the first damaged one on.
"""

import contextlib
import dataclasses
import errno
import hashlib
import json
import os
import pathlib
from collections.abc import Iterator, Mapping, Sequence

from beam_jobs import storage
from beam_jobs.embedding.info import RowKind
from components.errors import UserError
from pipeline import file_lock
from pipeline.serving.embedding.quarantine import Entry

_FILE = "journal.jsonl"
_LOCK = "lock"
_DIGEST = "digest"
_VERSION = 3
"""Raised when the same command would give other rows than before, or the same ones in other groups."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Parameters:
    """What decides the result.

    Attributes:
        model: Digest of the embedder.
        inputs: Digest of what is embedded, see `Inputs.digest`.
        clips: Number of clips.
        row: See `RowKind`.
        batch_size: Windows in a batch, because the vectors' last digits depend on it.
        library: Name and version of what runs the embedder.
        source: Where the embedder is. It decides nothing, and is said if the embedder has changed.
        version: See `_VERSION`.
    """

    model: str
    inputs: str
    clips: int
    row: RowKind
    batch_size: int
    library: str
    source: str
    version: int = _VERSION


_NAMES = {
    "model": "the model",
    "inputs": "the files",
    "clips": "their number",
    "row": "--windows",
    "batch_size": "--batch-size",
    "library": "what runs the model",
    "version": "the version of Diptych",
}


@dataclasses.dataclass(frozen=True, kw_only=True)
class Record:
    """A finished group.

    Attributes:
        rows: Number of its rows.
        clips: Number of clips in them.
        seconds: How long these clips are together.
        quarantined: What could not be embedded.
        not_finite: Files for which the model gives numbers that are not finite.
    """

    rows: int
    clips: int
    seconds: float
    quarantined: tuple[Entry, ...] = ()
    not_finite: tuple[str, ...] = ()


class Journal:
    """The finished groups of an output. `opened` opens it.

    Attributes:
        folder: Where it is.
        records: Those of the finished groups.
        damage: Why finished groups do not count; empty if all do.
    """

    def __init__(self, folder: pathlib.Path, *, records: Sequence[Record]):
        self.folder = folder
        self.records = list(records)
        self.damage = ""

    @property
    def parts(self) -> list[pathlib.Path]:
        """The files of the finished groups."""
        return [self.part(number) for number in range(len(self.records))]

    @property
    def temporary(self) -> pathlib.Path:
        """Where to write the output until it is whole."""
        return self.folder / "output.new"

    def part(self, number: int) -> pathlib.Path:
        """Returns where the rows of a group are."""
        return self.folder / f"{number:05d}.arrow"

    def finish(self, record: Record) -> None:
        """Notes that the next group is finished, whose part is on the disk."""
        fields = dataclasses.asdict(record)
        fields[_DIGEST] = _digest(fields, self.part(len(self.records)))
        with (self.folder / _FILE).open("ab") as file:
            file.write(json.dumps(fields).encode() + b"\n")
            file.flush()
            os.fsync(file.fileno())
        self.records.append(record)

    def remove(self) -> None:
        """Removes all files and the folder. First the journal, so that no half of it is ever taken for the whole."""
        (self.folder / _FILE).unlink()
        _clear(self.folder)
        (self.folder / _LOCK).unlink()
        with contextlib.suppress(OSError):  # Another process already waits there, or a user has put a file there.
            self.folder.rmdir()


@contextlib.contextmanager
def opened(output: pathlib.Path, parameters: Parameters, *, restart: bool) -> Iterator[Journal]:
    """Yields the journal of an output, and keeps other processes out until the block ends.

    Args:
        output: What is to be written.
        parameters: What decides the result.
        restart: Whether to forget what a command with other parameters has finished.

    Raises:
        UserError: Another process writes the output, or another command has begun to and was stopped.
    """
    folder = output.with_name(f"{output.name}.parts")
    with _locked(folder / _LOCK, output=output):
        journal = folder / _FILE
        lines = [] if restart else _lines(journal)
        if lines and _is_same(lines[0], parameters, finished=len(lines) - 1, folder=folder):
            finished = _continued(folder, lines[1:])
            # What a killed process has not written to its end must not precede the next line.
            os.truncate(journal, sum(len(line) + 1 for line in lines[: 1 + len(finished.records)]))
        else:
            finished = Journal(folder, records=[])
            _clear(folder)
            unfinished = journal.with_suffix(".new")
            unfinished.write_text(json.dumps(dataclasses.asdict(parameters)) + "\n")
            unfinished.replace(journal)
        yield finished


def _lines(journal: pathlib.Path) -> list[bytes]:
    """Returns the lines of a journal that are written to their end."""
    try:
        return journal.read_bytes().split(b"\n")[:-1]
    except FileNotFoundError:
        return []


def _continued(folder: pathlib.Path, lines: Sequence[bytes]) -> Journal:
    """Returns a journal of the groups that come before the first damaged one.

    Args:
        folder: Where it is.
        lines: Those of the groups.
    """
    journal = Journal(folder, records=[])
    for number, line in enumerate(lines):
        path = journal.part(number)
        try:
            journal.records.append(_record(line, path))
        except (AttributeError, KeyError, TypeError, ValueError, OSError):
            journal.damage = (
                f"{path} or its line in {_FILE} is missing, damaged or of an earlier version, so of {len(lines):,} "
                f"finished groups the last {len(lines) - number:,} were embedded again"
            )
            break
    return journal


def _record(line: bytes, part: pathlib.Path) -> Record:
    """Returns what the line of a group says, if its digest is that of the line and of the part.

    Raises:
        AttributeError, KeyError, TypeError, ValueError: The line is damaged, or has another digest.
        OSError: The part is missing or cannot be read.
    """
    fields = json.loads(line)
    if fields.pop(_DIGEST) != _digest(fields, part):
        raise ValueError
    quarantined = tuple(Entry(*entry) for entry in fields["quarantined"])
    return Record(**{**fields, "quarantined": quarantined, "not_finite": tuple(fields["not_finite"])})


def _digest(fields: Mapping[str, object], part: pathlib.Path) -> str:
    """Returns the SHA-256 of what a line says of a group, and of its rows."""
    rows = storage.file_digest(part)
    return hashlib.sha256(f"{json.dumps(fields)} {rows.sha256}".encode()).hexdigest()


def _is_same(line: bytes, parameters: Parameters, *, finished: int, folder: pathlib.Path) -> bool:
    """Returns whether a journal is that of the same command. If not, it has finished nothing.

    Raises:
        UserError: It is damaged, or that of another command or of an earlier version, which has finished some groups.
    """
    try:
        found = dict(json.loads(line))
    except (TypeError, ValueError):
        raise UserError(f"{folder / _FILE} is damaged: give --restart to discard {folder} and begin again.") from None
    if finished and not _NAMES.keys() <= found.keys():
        raise UserError(
            f"{folder} holds what an earlier version of Diptych has finished of this output: give --restart to discard "
            "it."
        )
    expected = dataclasses.asdict(parameters)
    other = [_changed(name, found, expected) for name in _NAMES if found.get(name) != expected[name]]
    if other and finished:
        raise UserError(
            f"{folder} holds what another command has finished of this output, with other parameters "
            f"({'; '.join(other)}): repeat that command to continue it, or give --restart to discard it."
        )
    return not other


def _changed(name: str, found: Mapping[str, object], expected: Mapping[str, object]) -> str:
    """Returns what to say about a parameter that has changed."""
    shown = {"model": "source", "library": "library"}.get(name)
    if not (shown and found.get(shown)):
        return _NAMES[name]
    if found[shown] == expected[shown]:
        return f"{_NAMES[name]}, since the content of {expected[shown]} has changed"
    return f"{_NAMES[name]}, {found[shown]} before and {expected[shown]} now"


def _clear(folder: pathlib.Path) -> None:
    """Removes the parts and what a killed process left unfinished."""
    for path in folder.iterdir():
        if path.suffix in (".arrow", ".new"):
            path.unlink()


@contextlib.contextmanager
def _locked(file: pathlib.Path, *, output: pathlib.Path) -> Iterator[None]:
    with contextlib.ExitStack() as stack:
        try:
            stack.enter_context(file_lock.held(file))
        except file_lock.HeldError as error:
            raise UserError(
                f"Another diptych embed ({error}) is writing {output}: wait for it, stop it, or give this one another "
                "--output."
            ) from error
        except file_lock.NoLocksError as error:
            raise UserError(
                f"The file system of --output {output} has no record locks ({error}), which keep a second process "
                "out: give a file on a local disk, or mount the file system with locks."
            ) from error
        except OSError as error:
            if error.errno == errno.ENOSPC:
                raise
            raise UserError(f"--output {output} cannot be written ({error.strerror}): name another file.") from error
        yield
