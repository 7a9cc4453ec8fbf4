"""The table of what could not be embedded, beside the output."""

import errno
import os
import pathlib
from collections.abc import Sequence
from typing import NamedTuple

from etils import epath

from beam_jobs import audio, sources, storage
from components import csv_rows
from components.errors import UserError
from pipeline import output_files

SUFFIXES = (".parquet", ".npz", ".csv")
"""Suffixes of outputs."""

_SUFFIX = ".quarantined.csv"
_PARTS = ".parts"
_WHAT = "the table of what cannot be embedded"


class Entry(NamedTuple):
    """A file, or a segment of one, that could not be embedded. The fields are the columns of the table.

    Attributes:
        file: Its path.
        start_s: Where the segment begins, in seconds; None for the whole file.
        end_s: Where it ends.
        cause: The kind of failure, see `audio.DecodeError`.
        message: One sentence.
    """

    file: str
    start_s: float | None
    end_s: float | None
    cause: str
    message: str

    @property
    def sentence(self) -> str:
        """What the user reads: the file, the cause and the message."""
        segment = "" if self.start_s is None else f" from {self.start_s:g} to {self.end_s:g} s"
        return f"{self.file}{segment} quarantined: {self.cause}: {self.message}"


def of_error(clip: sources.Clip, error: audio.DecodeError) -> Entry:
    """Returns the entry of a clip that cannot be decoded."""
    return _entry(clip, cause=error.cause, message=str(error))


def of_listing(row: sources.Quarantined) -> Entry:
    """Returns the entry of what a list or a folder names that is no clip."""
    return _entry(row.clip, cause=row.cause, message=row.message)


def table_of(output: pathlib.Path, *, inputs: Sequence[str]) -> pathlib.Path:
    """Returns where to write the table of an output.

    That is `STEM.quarantined.csv`. If such a table is there and another output with this stem as well, the table may
    be that of the other one, and that of this output is `NAME.quarantined.csv`, with the suffix in its name.

    Args:
        output: What is to be written, in a folder that exists.
        inputs: What is to be embedded.

    Raises:
        UserError: The table is an input, another file is there, or its name is too long.
    """
    table = output.with_name(f"{output.stem}{_SUFFIX}")
    if _is_table(table) and _other_outputs(output):
        table = _own_table(output)
    _check_name(table, output=output)
    if output_files.is_any_of(table, inputs):
        raise UserError(f"{table}, {_WHAT}, is one of the files to embed: give another --output.")
    if os.path.lexists(table) and not _is_table(table):
        raise UserError(f"{table}, {_WHAT}, is another file: move it, or give another --output.")
    return table


def write(table: pathlib.Path, entries: Sequence[Entry], *, output: pathlib.Path) -> None:
    """Writes the table. Without an entry there is none, not even one of an earlier run.

    Args:
        table: See `table_of`.
        entries: Its rows.
        output: What it belongs to.
    """
    own = _own_table(output)
    if own != table and _is_table(own):  # Of an earlier run, when there was another output with this stem.
        own.unlink()
    if not entries:
        table.unlink(missing_ok=True)
        return
    storage.write_text(epath.Path(table), csv_rows.to_text([Entry._fields, *entries]))


def _own_table(output: pathlib.Path) -> pathlib.Path:
    return output.with_name(f"{output.name}{_SUFFIX}")


def _is_table(path: pathlib.Path) -> bool:
    """Returns whether a file is a table that `write` has written."""
    header = (",".join(Entry._fields) + "\n").encode()
    try:
        # A pipe is not opened, because that may wait without end.
        if not path.is_file():
            return False
        with path.open("rb") as file:
            return file.read(len(header)) == header
    except OSError:
        return False


def _other_outputs(output: pathlib.Path) -> bool:
    """Returns whether there is another output with the same stem, or one that is being written."""
    try:
        names = list(output.parent.iterdir())
    except PermissionError:  # Then there may be one.
        return True
    for path in names:
        other = path.with_suffix("") if path.suffix == _PARTS else path
        if other.name != output.name and other.stem == output.stem and other.suffix.lower() in SUFFIXES:
            return True
    return False


def _check_name(table: pathlib.Path, *, output: pathlib.Path) -> None:
    try:
        os.lstat(table.with_name(f"{table.name}{storage.UNFINISHED}"))  # Its name until it is whole.
    except FileNotFoundError:
        pass
    except OSError as error:
        if error.errno == errno.ENAMETOOLONG:
            raise UserError(
                f"--output {output} has so long a name that {_WHAT} cannot lie beside it: give a shorter name."
            ) from error
        raise


def printable(path: str) -> str:
    """Returns a path that any encoding can hold: what is not UTF-8 in it is spelled in hexadecimal."""
    return os.fsencode(path).decode(errors="backslashreplace")


def _entry(clip: sources.Clip, *, cause: str, message: str) -> Entry:
    return Entry(printable(clip.path), clip.start_s, clip.end_s, cause, " ".join(message.split()))
