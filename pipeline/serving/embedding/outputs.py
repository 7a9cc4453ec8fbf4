"""Writes the file that the user asked for from the parts: Parquet, NumPy or CSV, by its suffix.

All of them hold the same rows in the same order, and are written a few megabytes at a time.
"""

import csv
import io
import os
import pathlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import BinaryIO

import numpy as np
import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet as pq

from components.errors import UserError
from pipeline import output_files
from pipeline.serving.embedding import npz, part
from pipeline.serving.embedding.part import Parts
from pipeline.serving.embedding.quarantine import printable

MODEL = "diptych.model"
"""Key of the digest of the model in the metadata of a Parquet file."""

FOLDER = "diptych.folder"
"""Key of the folder against which relative paths in the column `file` count; absent if all given paths are absolute."""

WHOLE = "embedding"
"""Name of the column with all embeddings of the embedder, one after the other."""

_ROW_GROUP_BYTES = 2**24
_FLOAT_BYTES = 4


def check(output: str, *, inputs: Sequence[str]) -> pathlib.Path:
    """Returns where to write an output, which is the file that a link leads to.

    Raises:
        UserError: The suffix is unknown, there is no folder for the file, or it is an input.
    """
    output_files.check_place(output)
    if pathlib.Path(output).suffix.lower() not in WRITERS:
        raise UserError(f"--output {output}: give a name that ends in one of {', '.join(WRITERS)}.")
    output_files.refuse_inputs(output, inputs)
    return pathlib.Path(os.path.realpath(output))


def write(output: pathlib.Path, parts: Parts, *, temporary: pathlib.Path, has_labels: bool) -> None:
    """Writes the output. Readers see the old file or the whole new one.

    Args:
        output: The file; its suffix is a key of `WRITERS`.
        parts: The rows.
        temporary: Where to write it until it is whole, on the same file system.
        has_labels: Whether to write the labels.
    """
    try:
        with temporary.open("wb") as file:
            WRITERS[output.suffix.lower()](file, parts, has_labels=has_labels)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(output)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise


def joined(labels: Sequence[str]) -> str:
    """Returns labels as one text, in the way of a manifest."""
    return ";".join(labels) + (";" if len(labels) == 1 and "," in labels[0] else "")


def _write_parquet(file: BinaryIO, parts: Parts, *, has_labels: bool) -> None:
    dims = _dims(parts.dims())
    fields = [("file", pa.string()), ("start_s", pa.float64()), ("end_s", pa.float64())]
    fields += [("labels", pa.list_(pa.string()))] if has_labels else []
    vectors = [(name, pa.list_(pa.float32(), dim)) for name, dim in dims.items()]
    schema = pa.schema(fields + vectors, metadata=_metadata(parts))
    rows = max(1, _ROW_GROUP_BYTES // (_FLOAT_BYTES * sum(dims.values())))
    texts = ["file", "labels.list.element"] if has_labels else ["file"]
    # With checksums, a reader tells a damaged page from another number.
    options = {"use_dictionary": texts, "write_statistics": texts, "write_page_checksum": True}
    with pq.ParquetWriter(file, schema, **options) as writer:
        for table in _of_equal_length((_table(batch, schema) for batch in parts.batches()), rows=rows):
            writer.write_table(table, row_group_size=rows)


def _metadata(parts: Parts) -> dict[str, str | bytes]:
    return {MODEL: parts.model} | ({FOLDER: os.fsencode(parts.folder)} if parts.folder else {})


def _table(batch: pa.RecordBatch, schema: pa.Schema) -> pa.Table:
    columns = []
    for field in schema:
        if field.name == "file":
            columns.append(pa.array(_printable_files(batch), pa.string()))
        elif field.name in batch.schema.names:
            columns.append(batch.column(field.name))
        else:
            flat = pa.array(_whole(batch).reshape(-1), pa.float32())
            columns.append(pa.FixedSizeListArray.from_arrays(flat, field.type.list_size))
    return pa.Table.from_arrays(columns, schema=schema)


def _of_equal_length(tables: Iterator[pa.Table], *, rows: int) -> Iterator[pa.Table]:
    """Yields the rows of all tables as tables of `rows` rows; the last one may have fewer."""
    waiting: list[pa.Table] = []
    count = 0
    for table in tables:
        waiting.append(table)
        count += table.num_rows
        while count >= rows:
            whole = pa.concat_tables(waiting)
            yield whole.slice(0, rows).combine_chunks()
            waiting, count = [whole.slice(rows)], count - rows
    if count:
        yield pa.concat_tables(waiting).combine_chunks()


def _write_csv(file: BinaryIO, parts: Parts, *, has_labels: bool) -> None:
    names = ["file", "start_s", "end_s", *(["labels"] if has_labels else [])]
    names += [f"{WHOLE}_{number}" for number in range(_dims(parts.dims())[WHOLE])]
    header = io.StringIO()
    csv.writer(header, lineterminator="\n").writerow(names)
    file.write(header.getvalue().encode())
    options = pa.csv.WriteOptions(include_header=False)
    for batch in parts.batches():
        columns = [_printable_files(batch), batch.column("start_s"), batch.column("end_s")]
        if has_labels:
            columns.append(_joined_labels(batch))
        columns += list(np.ascontiguousarray(_whole(batch).T))
        table = pa.Table.from_arrays([pa.array(column) for column in columns], names=names)
        pa.csv.write_csv(table, file, write_options=options)


def _write_npz(file: BinaryIO, parts: Parts, *, has_labels: bool) -> None:
    dims, rows = parts.dims(), parts.rows
    with npz.Archive(file) as archive:
        archive.add_texts("path", lambda: map(_files, parts.batches(["file"])), rows=rows)
        for name, dim in _dims(dims).items():
            blocks = map(_whole, parts.batches([name] if name in dims else list(dims)))
            archive.add(name, blocks, shape=(rows, dim), dtype=np.dtype(np.float32))
        for name in ("start_s", "end_s"):
            blocks = (batch.column(0).to_numpy() for batch in parts.batches([name]))
            archive.add(name, blocks, shape=(rows,), dtype=np.dtype(np.float64))
        if has_labels:
            archive.add_texts("labels", lambda: map(_joined_labels, parts.batches(["labels"])), rows=rows)


def _files(batch: pa.RecordBatch) -> list[str]:
    return [os.fsdecode(file) for file in batch.column("file").to_pylist()]


def _printable_files(batch: pa.RecordBatch) -> list[str]:
    return [printable(file) for file in _files(batch)]


def _joined_labels(batch: pa.RecordBatch) -> list[str]:
    return [joined(labels) for labels in batch.column("labels").to_pylist()]


def _dims(dims: Mapping[str, int]) -> dict[str, int]:
    """Returns the names and sizes of the columns with vectors, the whole embedding first."""
    return {WHOLE: sum(dims.values()), **dims}


def _whole(batch: pa.RecordBatch) -> np.ndarray:
    """Returns all vectors of each row one after the other, float32 (rows, sum of dims)."""
    names = [name for name in batch.schema.names if name not in part.METADATA_COLUMNS]
    return np.concatenate([part.vectors(batch, name) for name in names], axis=1)


WRITERS: Mapping[str, Callable[..., None]] = {".parquet": _write_parquet, ".npz": _write_npz, ".csv": _write_csv}
"""Suffix -> what writes the rows in this form."""
