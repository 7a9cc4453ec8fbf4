"""The rows of a Parquet file of embeddings.

    clip_id   string            name of the clip
    split     string            "train", "valid" or "eval"
    fold      int32             number of the official fold, 0 for none
    labels    list<int32>       class indices
    start_s   float64           where the window begins in the clip, in seconds; 0 for the mean of a clip
    end_s     float64           where it ends; at the end of the clip, if that is shorter than the window
    NAME      float16[dim]      one column for each embedding of the embedder

There is no column for the concatenation of the embeddings, which would only repeat them.
"""

import dataclasses
from collections.abc import Mapping, Sequence

import numpy as np
import pyarrow as pa

METADATA_COLUMNS = ("clip_id", "split", "fold", "labels", "start_s", "end_s")


@dataclasses.dataclass(frozen=True, kw_only=True)
class Rows:
    """Some rows, column by column.

    Attributes:
        clip_ids: str (rows,), as objects.
        splits: str (rows,), as objects.
        folds: int32 (rows,).
        label_values: int32 (labels,), the class indices of all rows, one row after the other.
        label_offsets: int (rows + 1,): row i has `label_values[label_offsets[i] : label_offsets[i + 1]]`.
        start_s: float64 (rows,).
        end_s: float64 (rows,).
        vectors: Name of the embedding -> float16 (rows, dim).
    """

    clip_ids: np.ndarray
    splits: np.ndarray
    folds: np.ndarray
    label_values: np.ndarray
    label_offsets: np.ndarray
    start_s: np.ndarray
    end_s: np.ndarray
    vectors: Mapping[str, np.ndarray]

    def __len__(self) -> int:
        return len(self.folds)


def schema(dims: Mapping[str, int]) -> pa.Schema:
    """Returns the schema of an embedder's files.

    Args:
        dims: Name of each embedding -> size.
    """
    fields = [
        ("clip_id", pa.string()),
        ("split", pa.string()),
        ("fold", pa.int32()),
        ("labels", pa.list_(pa.int32())),
        ("start_s", pa.float64()),
        ("end_s", pa.float64()),
    ]
    return pa.schema(fields + [(name, pa.list_(pa.float16(), dim)) for name, dim in dims.items()])


def to_arrow(rows: Rows) -> pa.Table:
    """Returns rows as an Arrow table with the columns that the module describes."""
    arrays = [
        pa.array(rows.clip_ids, pa.string()),
        pa.array(rows.splits, pa.string()),
        pa.array(rows.folds, pa.int32()),
        pa.ListArray.from_arrays(pa.array(rows.label_offsets, pa.int32()), pa.array(rows.label_values, pa.int32())),
        pa.array(rows.start_s, pa.float64()),
        pa.array(rows.end_s, pa.float64()),
    ]
    dims = {name: values.shape[1] for name, values in rows.vectors.items()}
    for name, values in rows.vectors.items():
        flat = pa.array(np.ascontiguousarray(values, np.float16).reshape(-1), pa.float16())
        arrays.append(pa.FixedSizeListArray.from_arrays(flat, dims[name]))
    return pa.Table.from_arrays(arrays, schema=schema(dims))


def wrong_column(table: pa.Table) -> str | None:
    """Returns the first column that is of another type or lacks a value, as in a damaged file, or None."""
    expected = schema({})
    for field, column in zip(table.schema, table.columns, strict=True):
        if field.name in METADATA_COLUMNS:
            fits = field.type == expected.field(field.name).type
        else:
            fits = pa.types.is_fixed_size_list(field.type) and field.type.value_type == pa.float16()
        if not fits or column.null_count:
            return field.name
    return None


def from_arrow(table: pa.Table, *, names: Sequence[str]) -> Rows:
    """Returns the rows of an Arrow table.

    Args:
        table: With the columns that the module describes.
        names: The embeddings to return.
    """
    table = table.combine_chunks()
    labels = _array(table["labels"], pa.list_(pa.int32()))
    first, last = (labels.offsets[i].as_py() for i in (0, -1))
    return Rows(
        clip_ids=table["clip_id"].to_numpy(),
        splits=table["split"].to_numpy(),
        folds=table["fold"].to_numpy(),
        label_values=labels.values.to_numpy()[first:last],
        label_offsets=labels.offsets.to_numpy().astype(np.int64) - first,
        start_s=table["start_s"].to_numpy(),
        end_s=table["end_s"].to_numpy(),
        vectors={name: _vectors(table[name]) for name in names},
    )


def _vectors(column: pa.ChunkedArray) -> np.ndarray:
    """Returns float16 (rows, dim) without a copy."""
    array = _array(column, column.type)
    return array.flatten().to_numpy(zero_copy_only=True).reshape(len(array), column.type.list_size)


def _array(column: pa.ChunkedArray, kind: pa.DataType) -> pa.Array:
    """Returns a column of a table, whose chunks were combined, as one array."""
    return column.chunk(0) if column.num_chunks else pa.array([], kind)
