"""Shows what a search has found: as tables on the terminal, and as a CSV file."""

import csv
import dataclasses
from collections.abc import Sequence

import numpy as np
from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from pipeline import output_files
from pipeline.vectors.nearest import Nearest
from pipeline.vectors.queries import Query
from pipeline.vectors.stored import StoredVectors

_COLUMNS = ("query", "query_start_s", "query_end_s", "rank", "cosine", "file", "start_s", "end_s")


@dataclasses.dataclass(frozen=True, kw_only=True)
class Hit:
    """One row that was found; see `queries.Query` for the times."""

    query: Query
    rank: int
    cosine: float
    name: str
    start_s: float
    end_s: float


def join(stored: StoredVectors, queries: Sequence[Query], found: Sequence[Nearest]) -> list[Hit]:
    """Looks up what the rows that were found are of. Ranks begin with 1."""
    places = stored.places(np.concatenate([nearest.rows for nearest in found]))
    hits = []
    for query, nearest in zip(queries, found, strict=True):
        for rank, cosine in enumerate(nearest.cosines, 1):
            row = len(hits)
            hits.append(
                Hit(
                    query=query,
                    rank=rank,
                    cosine=float(cosine),
                    name=places.names[row],
                    start_s=float(places.start_s[row]),
                    end_s=float(places.end_s[row]),
                )
            )
    return hits


def without_any(queries: Sequence[Query], found: Sequence[Nearest]) -> list[str]:
    """Returns a sentence for each query that has found nothing."""
    return [
        f"{query.name} has no hit: the embeddings hold no other file whose vector is finite"
        for query, nearest in zip(queries, found, strict=True)
        if not nearest.rows.size
    ]


def show(hits: Sequence[Hit], console: Console) -> None:
    """Prints a table for each query."""
    of_queries: dict[tuple[str, float, float, int | None], list[Hit]] = {}
    for hit in hits:
        of_queries.setdefault(hit.query.key, []).append(hit)
    for (name, start_s, end_s, _), of_query in of_queries.items():
        table = Table(title=_place(name, start_s, end_s), title_justify="left", box=box.ROUNDED)
        table.add_column("", justify="right")
        table.add_column("cosine", justify="right", no_wrap=True)
        table.add_column("file", overflow="fold")
        table.add_column("from, to (s)", justify="right", no_wrap=True)
        for hit in of_query:
            times = f"{hit.start_s:.1f}, {hit.end_s:.1f}"
            table.add_row(str(hit.rank), f"{hit.cosine:.4f}", Text(hit.name), times)
        console.print(table)


def write(hits: Sequence[Hit], output: str) -> None:
    """Writes a CSV file.

    Raises:
        UserError: The file cannot be written.
    """
    with output_files.writing(output) as file:
        writer = csv.writer(file)
        writer.writerow(_COLUMNS)
        for hit in hits:
            times = [hit.query.start_s, hit.query.end_s]
            row = [hit.query.name, *times, hit.rank, f"{hit.cosine:.6f}", hit.name, hit.start_s, hit.end_s]
            writer.writerow(row)


def _place(name: str, start_s: float, end_s: float) -> Text:
    return Text(f"{name}, {start_s:.1f} to {end_s:.1f} s" if start_s else name)
