"""Reads Parquet files so that a damaged one ends in an error of ours, and never ends the process."""

import contextlib
from collections.abc import Callable, Iterator, Sequence

import pyarrow as pa
import pyarrow.parquet as pq
from etils import epath

from beam_jobs import error_text, storage

Damage = Callable[[epath.Path, str], Exception]
"""(file, what is wrong with it, e.g. "is missing") -> the error to raise."""


class Reader:
    """An open Parquet file. It reads without threads: after an error of one, pyarrow may abort the process at its end.

    Args:
        parquet: The file.

    Attributes:
        schema: Its columns.
        group_rows: Number of rows of each row group.
    """

    def __init__(self, parquet: pq.ParquetFile):
        self._parquet = parquet
        self.schema: pa.Schema = parquet.schema_arrow
        metadata = parquet.metadata
        self.group_rows = [metadata.row_group(group).num_rows for group in range(metadata.num_row_groups)]

    @property
    def rows(self) -> int:
        """Number of all rows."""
        return sum(self.group_rows)

    def read_group(self, group: int, *, columns: Sequence[str]) -> pa.Table:
        """Reads a row group, with the columns in this order."""
        table = self._parquet.read_row_group(group, columns=list(columns), use_threads=False)
        table.validate(full=True)  # Text that is not UTF-8 would end in an error only where it is used.
        return table.select(columns)

    def batches(self, *, rows: int, columns: Sequence[str]) -> Iterator[pa.RecordBatch]:
        """Yields all rows, at most `rows` at a time."""
        for batch in self._parquet.iter_batches(batch_size=rows, columns=list(columns), use_threads=False):
            batch.validate(full=True)
            yield batch.select(columns)


@contextlib.contextmanager
def opened(file: epath.Path, *, damage: Damage) -> Iterator[Reader]:
    """Opens a file for the block, in which errors of reading become those of `damage`."""
    try:
        with (
            storage.open_binary(file) as content,
            pq.ParquetFile(content, page_checksum_verification=True) as parquet,
        ):
            yield Reader(parquet)
    except FileNotFoundError as error:
        raise damage(file, "is missing") from error
    except (pa.ArrowException, KeyError, OSError, OverflowError, UnicodeDecodeError) as error:
        if getattr(error, "errno", None) is not None:  # The disk's error. pyarrow's own for damage has no number.
            raise
        raise damage(file, f"is damaged ({error_text.first_line(error)})") from error
