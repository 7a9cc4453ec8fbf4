"""Reads the CSV lists of a source row by row, and quarantines the rows that do not describe a clip."""

import collections
import csv
import itertools
from collections.abc import Callable, Iterable, Iterator, Sequence

from etils import epath

from beam_jobs import storage
from beam_jobs.sources.clips import Clip, Quarantined, SourceError

_MOST_LINES = 100
"""A quote that is not closed within so many lines spoils its own line alone."""


class RowError(ValueError):
    """A row of a list does not describe a clip.

    Attributes:
        cause: See `Quarantined`.
        clip: What the row tells about the clip; None if it does not even tell an id.
    """

    def __init__(self, message: str, *, cause: str = "malformed row", clip: Clip | None = None):
        super().__init__(message)
        self.cause = cause
        self.clip = clip


class RowReader:
    """Turns the rows of one or more lists into clips. Every row ends up in one of the two attributes.

    Args:
        spelling: Returns the id that a clip would have if its file were spelled in the usual way. Clips that share it
            are one clip.

    Attributes:
        clips: The clips that have a file, in the order of the rows.
        quarantined: The rows that are malformed, repeat an id or have no file.
    """

    def __init__(self, *, spelling: Callable[[Clip], str] = lambda clip: clip.clip_id):
        self.clips: list[Clip] = []
        self.quarantined: list[Quarantined] = []
        self._spelling = spelling
        self._lines: dict[epath.Path, dict[str, int]] = {}

    def read(
        self, table: epath.Path, rows: Iterable[tuple[int, list[str]]], to_clip: Callable[[list[str]], Clip]
    ) -> None:
        """Reads the rows of one list.

        Args:
            table: The list.
            rows: Line numbers and cells, see `rows`.
            to_clip: Converts the cells of one row to a clip, or raises a RowError.
        """
        lines = self._lines.setdefault(table, {})
        for line, row in rows:
            try:
                if any("\0" in cell for cell in row):
                    raise RowError(
                        "the row holds zero bytes, as files do after a power cut; write it again or remove it"
                    )
                if breaks := line_breaks(row):
                    raise RowError(
                        f"the row takes {breaks + 1} lines, and line breaks in cells are not read; write it on one"
                    )
                clip = to_clip(row)
                spelled = self._spelling(clip)
                self._check_is_new(clip, spelled)
            except RowError as error:
                clip = error.clip or Clip(clip_id=f"{table.name}:{line}", path="")
                self.quarantined.append(Quarantined(clip, error.cause, f"{table}:{line}: {error}"))
                continue
            lines[clip.clip_id] = lines[spelled] = line
            if clip.path:
                self.clips.append(clip)
            else:
                self.quarantined.append(Quarantined(clip, "missing", "no file for this row of the lists"))

    def files(self) -> set[str]:
        """Returns the files that the rows name, including the files of quarantined rows."""
        paths = {clip.path for clip in self.clips}
        paths.update(row.clip.path for row in self.quarantined)
        paths.discard("")
        return paths

    def _check_is_new(self, clip: Clip, spelled: str) -> None:
        for table, lines in self._lines.items():
            line = lines.get(clip.clip_id) or lines.get(spelled)
            if line:
                message = f"'{clip.clip_id}' is in {table}:{line} already; remove one of the rows"
                raise RowError(message, cause="duplicate id", clip=clip)


def rows(table: epath.Path, *, comments: bool = False) -> Iterator[tuple[int, list[str]]]:
    """Streams the rows of a CSV file, without empty lines.

    Args:
        table: The file, in UTF-8.
        comments: Whether lines that begin with # are comments, which are skipped.

    Yields:
        The line number, counted from 1, and the cells, without the spaces around those that are not quoted. A line that
        is not valid CSV is a single cell. So are the lines of a row with line breaks in quoted cells, which is the only
        cell with a line break.

    Raises:
        SourceError: a line is not UTF-8, or there is no file but a pipe or the like.
    """
    if storage.is_no_file(table):
        raise SourceError(f"{table} cannot be read, because {storage.NO_FILE}; put a file in its place")
    with table.open("rb") as file:
        lines = _Lines(_texts(table, file))
        for number, line in lines:
            if not line or (comments and line.startswith("#")):
                continue
            cells = _cells(line)
            if cells is None:
                cells = [lines.take_rest(line) or line]
            yield number, cells


def line_breaks(cells: Sequence[str]) -> int:
    """Returns the number of line breaks in the cells of a row of `rows`."""
    return sum(cell.count("\n") for cell in cells)


def _texts(table: epath.Path, file: Iterable[bytes]) -> Iterator[tuple[int, str]]:
    """Yields the number and the text of each line, without the spaces around it."""
    for number, raw in enumerate(file, start=1):
        try:
            yield number, raw.decode("utf-8-sig" if number == 1 else "utf-8").strip()
        except UnicodeDecodeError:
            raise SourceError(f"{table}:{number}: not UTF-8 text; save it as CSV in UTF-8") from None


class _Lines:
    """Iterates over lines, and looks at those that follow.

    Args:
        lines: Number and text of each line.
    """

    def __init__(self, lines: Iterator[tuple[int, str]]):
        self._lines = lines
        self._ahead: collections.deque[tuple[int, str]] = collections.deque()

    def __iter__(self) -> "_Lines":
        return self

    def __next__(self) -> tuple[int, str]:
        return self._ahead.popleft() if self._ahead else next(self._lines)

    def take_rest(self, line: str) -> str | None:
        """Takes the lines that end the row that a line begins, if a quote is open at its end.

        Args:
            line: A line that is not valid CSV.

        Returns:
            All lines of the row; None if the quote is never closed, so that it spoils its own line alone.
        """
        if line.count('"') % 2 == 0:
            return None
        row = line
        for count in range(1, _MOST_LINES + 1):
            if len(self._ahead) < count:
                self._ahead.extend(itertools.islice(self._lines, 1))
            if len(self._ahead) < count:
                return None
            row = f"{row}\n{self._ahead[count - 1][1]}"
            if row.count('"') % 2 == 0:
                break
        if _cells(row) is None:
            return None
        for _ in range(count):
            self._ahead.popleft()
        return row


def _cells(line: str) -> list[str] | None:
    """Returns the cells of a line, without the spaces around those that are not quoted; None if it is not valid CSV."""
    try:
        # Each line is parsed alone, so that a quote that is never closed spoils only its own line.
        cells = next(csv.reader((line,), skipinitialspace=True, strict=True))
    except csv.Error:
        return None
    stripped = [cell.strip() for cell in cells]
    return stripped if stripped == cells or '"' not in line else list(_unquoted_stripped(line, cells))


def _unquoted_stripped(line: str, cells: Iterable[str]) -> Iterator[str]:
    """Yields the cells of a line, without the spaces around those that are not quoted, which `csv` does not tell."""
    rest = line
    for cell in cells:
        rest = rest.lstrip(" ")
        if rest.startswith('"'):
            yield cell
            length = len(cell) + cell.count('"') + 2
        else:
            yield cell.strip()
            length = len(cell)
        rest = rest[length + 1 :]


def fold_shift(lowest: int) -> int:
    """Returns the number to add to folds of which `lowest` is the lowest, so that all are at least 1, see `Clip`."""
    return max(0, 1 - lowest)


def header(rows: Iterator[tuple[int, list[str]]]) -> list[str]:
    """Takes the first row and returns its cells without the spaces around them; none if the list is empty."""
    _, cells = next(rows, (1, []))
    return [cell.strip() for cell in cells]
