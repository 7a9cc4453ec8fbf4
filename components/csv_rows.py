"""Writes tables for people and spreadsheets."""

import csv
import io
from collections.abc import Iterable, Sequence


def to_text(rows: Iterable[Sequence[object]]) -> str:
    """Returns rows as lines of CSV."""
    buffer = io.StringIO()
    table, quoted = (
        csv.writer(buffer, lineterminator="\n", quoting=quoting) for quoting in (csv.QUOTE_MINIMAL, csv.QUOTE_ALL)
    )
    for row in rows:
        # Before Python 3.13, `csv` does not quote a carriage return, at which readers end the row.
        (quoted if any("\r" in str(cell) for cell in row) else table).writerow(row)
    return buffer.getvalue()
