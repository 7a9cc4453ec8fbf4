"""Reads rows of the Parquet files in which embeddings are stored."""

import contextlib
import os
from collections.abc import Iterator, Sequence

import numpy as np
import pyarrow as pa
from etils import epath

from beam_jobs import storage
from beam_jobs.embedding import parquet
from components.errors import UserError

_ROWS_AT_A_TIME = 4096


def opened(file: epath.Path) -> contextlib.AbstractContextManager[parquet.Reader]:
    """Opens a file for the block, in which damage becomes a UserError."""
    return parquet.opened(
        file, damage=lambda file, what: UserError(f"--embeddings: {file} {what}: write the embeddings again")
    )


def batches(file: epath.Path, *, columns: Sequence[str], rows: int = _ROWS_AT_A_TIME) -> Iterator[pa.RecordBatch]:
    """Yields all rows of a file, at most `rows` at a time."""
    with opened(file) as reader:
        yield from reader.batches(rows=rows, columns=columns)


def take(file: epath.Path, rows: np.ndarray, *, columns: Sequence[str], of: int) -> pa.Table:
    """Returns rows of a file, by their numbers in ascending order.

    Raises:
        UserError: The file is missing or damaged, or it no longer has as many rows as `of`.
    """
    taken = []
    with opened(file) as reader:
        if reader.rows != of:
            raise UserError(
                f"--embeddings: {file} was written again, and has {reader.rows:,} rows in place of {of:,}: start again"
            )
        first = 0
        for group, count in enumerate(reader.group_rows):
            of_group = rows[(rows >= first) & (rows < first + count)] - first
            if of_group.size:
                taken.append(reader.read_group(group, columns=columns).take(of_group))
            first += count
    return pa.concat_tables(taken)


def names(array: pa.Array, *, file: epath.Path) -> np.ndarray:
    """Returns the names of a column, str (rows,), as objects.

    Raises:
        UserError: A row has no name.
    """
    if array.null_count:
        raise UserError(f"--embeddings: not all rows of {file} name their file: embed the files again")
    return array.to_numpy(zero_copy_only=False)


def matrix(array: pa.Array, *, dim: int, file: epath.Path, name: str) -> np.ndarray:
    """Returns the vectors of a column, float (rows, dim).

    Raises:
        UserError: A row has no vector, or one of another size.
    """
    values = array.flatten().to_numpy(zero_copy_only=False)
    if array.null_count or values.size != len(array) * dim or (array.value_lengths().to_numpy() != dim).any():
        raise UserError(f"--embeddings: not all rows of {file} have {dim:,} numbers in {name}: embed the files again")
    return values.reshape(len(array), dim)


def state(file: epath.Path) -> tuple[int, ...]:
    """Returns what changes when a file is written again: its size, its time and, on this machine, its inode.

    It is empty if the file is missing.
    """
    with contextlib.suppress(FileNotFoundError):
        if storage.is_remote(file):
            return storage.size(file), storage.modified_s(file)
        status = os.stat(file)
        return status.st_size, status.st_mtime_ns, status.st_ino
    return ()
