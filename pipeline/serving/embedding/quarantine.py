"""The table of what could not be embedded, beside the output."""

import csv
import io
import os
import pathlib
from collections.abc import Sequence
from typing import NamedTuple

from etils import epath

from beam_jobs import audio, sources, storage


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


def table_of(output: pathlib.Path) -> pathlib.Path:
    """Returns where the table of an output is."""
    return output.with_name(f"{output.stem}.quarantined.csv")


def write(table: pathlib.Path, entries: Sequence[Entry]) -> None:
    """Writes the table. Without an entry there is none, not even one of an earlier run."""
    if not entries:
        table.unlink(missing_ok=True)
        return
    buffer = io.StringIO()
    rows = csv.writer(buffer, lineterminator="\n")
    rows.writerow(Entry._fields)
    rows.writerows(entries)
    storage.write_text(epath.Path(table), buffer.getvalue())


def printable(path: str) -> str:
    """Returns a path that any encoding can hold: what is not UTF-8 in it is spelled in hexadecimal."""
    return os.fsencode(path).decode(errors="backslashreplace")


def _entry(clip: sources.Clip, *, cause: str, message: str) -> Entry:
    return Entry(printable(clip.path), clip.start_s, clip.end_s, cause, " ".join(message.split()))
