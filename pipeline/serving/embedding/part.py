"""The rows of one group, in an Arrow file of its own. The file that the user asked for is made of all of them.

    file      binary            path as the system has it, or id of a stored clip
    start_s   float64           where the window, or what was embedded of the file, begins in the file, in seconds
    end_s     float64           where it ends
    labels    list<string>      classes, if a list or the examples give some
    NAME      float32[dim]      one column for each embedding of the embedder

Arrow's format keeps a table in pieces of a few megabytes, so neither writing nor reading one takes more memory.
"""

import dataclasses
import os
import pathlib
from collections.abc import Iterator, Mapping, Sequence

import numpy as np
import pyarrow as pa

from beam_jobs import sources
from beam_jobs.embedding.windows import EmbeddedWindows

METADATA_COLUMNS = ("file", "start_s", "end_s", "labels")
_BATCH_BYTES = 2**22
_FLOAT_BYTES = 4


def schema(dims: Mapping[str, int]) -> pa.Schema:
    """Returns the schema of a part.

    Args:
        dims: Name of each embedding -> size.
    """
    fields = [("file", pa.binary()), ("start_s", pa.float64()), ("end_s", pa.float64())]
    fields.append(("labels", pa.list_(pa.string())))
    return pa.schema(fields + [(name, pa.list_(pa.float32(), dim)) for name, dim in dims.items()])


class Writer:
    """Writes a part, a few megabytes at a time. Use it as a context manager; at its end the part is on the disk.

    Args:
        path: The file.
        dims: Name of each embedding -> size.
        sample_rate: Of the embedder, in Hz.

    Attributes:
        rows: Number of rows.
        clips: Number of clips.
        samples: Number of samples of all clips.
    """

    def __init__(self, path: pathlib.Path, *, dims: Mapping[str, int], sample_rate: int):
        self._dims = dims
        self._sample_rate = sample_rate
        self._batch_rows = max(1, _BATCH_BYTES // (_FLOAT_BYTES * sum(dims.values())))
        self._file = path.open("wb")
        self._stream = pa.ipc.new_file(self._file, schema(dims))
        self._columns = _Columns(dims)
        self.rows = 0
        self.clips = 0
        self.samples = 0

    def __enter__(self) -> "Writer":
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        with self._file:
            if kind is None:
                self._flush()
                self._stream.close()
                self._file.flush()
                os.fsync(self._file.fileno())

    def add(self, clip: sources.Clip, piece: EmbeddedWindows) -> None:
        """Adds consecutive windows of a clip, or their mean, one clip after the other."""
        # The times of a list are not those in a file that was trimmed.
        offset_s = 0.0 if clip.start_s is None or clip.trimmed else clip.start_s
        start_s, end_s = (offset_s + samples / self._sample_rate for samples in (piece.starts, piece.ends))
        self._columns.append(clip, start_s, end_s, piece.vectors)
        self.rows += len(start_s)
        if piece.is_last:
            self.clips += 1
            self.samples += piece.samples
        if len(self._columns) >= self._batch_rows:
            self._flush()

    def _flush(self) -> None:
        if len(self._columns):
            self._stream.write_batch(self._columns.batch())
            self._columns = _Columns(self._dims)


class _Columns:
    """Collects rows."""

    def __init__(self, dims: Mapping[str, int]):
        self._dims = dims
        self._files: list[bytes] = []
        self._labels: list[Sequence[str]] = []
        self._starts: list[np.ndarray] = []
        self._ends: list[np.ndarray] = []
        self._vectors: dict[str, list[np.ndarray]] = {name: [] for name in dims}

    def __len__(self) -> int:
        return len(self._files)

    def append(
        self, clip: sources.Clip, start_s: np.ndarray, end_s: np.ndarray, vectors: Mapping[str, np.ndarray]
    ) -> None:
        self._files += len(start_s) * [os.fsencode(clip.path)]
        self._labels += len(start_s) * [clip.labels]
        self._starts.append(start_s)
        self._ends.append(end_s)
        for name, rows in self._vectors.items():
            rows.append(vectors[name])

    def batch(self) -> pa.RecordBatch:
        arrays = [
            pa.array(self._files, pa.binary()),
            pa.array(np.concatenate(self._starts), pa.float64()),
            pa.array(np.concatenate(self._ends), pa.float64()),
            pa.array(self._labels, pa.list_(pa.string())),
        ]
        for name, rows in self._vectors.items():
            flat = pa.array(np.concatenate(rows).reshape(-1), pa.float32())
            arrays.append(pa.FixedSizeListArray.from_arrays(flat, self._dims[name]))
        return pa.record_batch(arrays, schema=schema(self._dims))


@dataclasses.dataclass(frozen=True, kw_only=True)
class Parts:
    """The files of all groups, read as one table.

    Attributes:
        files: The files.
        rows: Number of all rows.
        model: Digest of the model that made them.
        folder: Where relative paths lead from, see `outputs.FOLDER`; "" if there are none.
    """

    files: Sequence[pathlib.Path]
    rows: int
    model: str
    folder: str = ""

    def dims(self) -> dict[str, int]:
        """Returns the name of each embedding with its size."""
        with self.files[0].open("rb") as file:
            fields = pa.ipc.open_file(file).schema
        return {field.name: field.type.list_size for field in fields if field.name not in METADATA_COLUMNS}

    def batches(self, columns: Sequence[str] | None = None) -> Iterator[pa.RecordBatch]:
        """Yields all rows in order, a few megabytes at a time.

        Args:
            columns: Names of the columns to read; None reads all.
        """
        for path in self.files:
            # Not mapped into memory: the pages of a map count as memory of this process.
            with path.open("rb") as file:
                numbers = None
                if columns is not None:
                    numbers = [pa.ipc.open_file(file).schema.get_field_index(column) for column in columns]
                    file.seek(0)
                reader = pa.ipc.open_file(file, options=pa.ipc.IpcReadOptions(included_fields=numbers))
                for number in range(reader.num_record_batches):
                    yield reader.get_batch(number)


def vectors(batch: pa.RecordBatch, name: str) -> np.ndarray:
    """Returns the vectors of some rows, float32 (rows, dim)."""
    column = batch.column(name)
    return column.flatten().to_numpy(zero_copy_only=True).reshape(len(column), column.type.list_size)
