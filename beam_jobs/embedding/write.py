"""Writes Parquet files of embeddings."""

import dataclasses
from collections.abc import Mapping, Sequence
from types import TracebackType

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from etils import epath

from beam_jobs import storage
from beam_jobs.digesting_file import DigestingFile
from beam_jobs.embedding import table

ROW_GROUP_ROWS = 1024
"""Rows that are written, and later read, at once: a few megabytes."""


class UnusableVectorsError(Exception):
    """An embedder gave a clip a vector that float16 cannot hold. The message is one sentence that names both."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Clip:
    """A clip that was embedded.

    Attributes:
        clip_id: Name of the clip.
        labels: Class indices.
        fold: Number of the official fold, 0 for none.
    """

    clip_id: str
    labels: tuple[int, ...]
    fold: int


class Writer:
    """Writes one file and digests it on the way. Use it in a `with` statement.

    The same rows give the same bytes, in whatever pieces they are added.

    Args:
        path: The file.
        embedder: Name of the embedder.
        split: Split of all clips.
        dims: Name of each embedding -> size.

    Attributes:
        rows: Number of rows so far.
    """

    def __init__(self, path: epath.Path, *, embedder: str, split: str, dims: Mapping[str, int]):
        self._embedder = embedder
        self._split = split
        self._file = DigestingFile(path)
        # Only `split` repeats itself. Vectors in a dictionary would take longer to write and to read.
        schema = table.schema(dims)
        self._parquet = pq.ParquetWriter(self._file, schema, use_dictionary=["split"], write_page_checksum=True)
        self._pieces: list[_Piece] = []
        self._waiting = 0  # Rows of the pieces.
        self._rest = table.schema(dims).empty_table()
        self.rows = 0

    @property
    def digest(self) -> storage.FileDigest:
        """The digest of the file, once the `with` statement has ended."""
        return self._file.digest

    def add(self, clip: Clip, *, start_s: np.ndarray, end_s: np.ndarray, vectors: Mapping[str, np.ndarray]) -> None:
        """Appends rows of one clip.

        Args:
            clip: The clip.
            start_s: (rows,), where the windows begin in the clip, in seconds.
            end_s: (rows,), where they end.
            vectors: Name of the embedding -> float (rows, dim).

        Raises:
            UnusableVectorsError: A vector holds NaN or infinity, or a value that is too large for float16.
        """
        self._pieces.append(_Piece(clip=clip, start_s=start_s, end_s=end_s, vectors=vectors))
        self.rows += len(start_s)
        self._waiting += len(start_s)
        if self._waiting >= ROW_GROUP_ROWS:
            self._write(is_last=False)

    def _write(self, *, is_last: bool) -> None:
        """Writes the pieces, but only whole row groups unless they are the last."""
        if self._pieces:
            added = table.to_arrow(self._join(self._pieces))
            self._rest, self._pieces = pa.concat_tables([self._rest, added]).combine_chunks(), []
            self._waiting = 0
        rows = len(self._rest) if is_last else len(self._rest) // ROW_GROUP_ROWS * ROW_GROUP_ROWS
        if rows:
            self._parquet.write_table(self._rest.slice(0, rows), row_group_size=ROW_GROUP_ROWS)
            self._rest = self._rest.slice(rows)

    def _join(self, pieces: "Sequence[_Piece]") -> table.Rows:
        counts = [len(piece.start_s) for piece in pieces]
        labels = [np.tile(np.array(piece.clip.labels, np.int32), len(piece.start_s)) for piece in pieces]
        label_counts = np.repeat([len(piece.clip.labels) for piece in pieces], counts)
        ids = np.repeat(np.array([piece.clip.clip_id for piece in pieces], object), counts)
        return table.Rows(
            clip_ids=ids,
            splits=np.full(len(ids), self._split, object),
            folds=np.repeat(np.array([piece.clip.fold for piece in pieces], np.int32), counts),
            label_values=np.concatenate(labels),
            label_offsets=np.concatenate([[0], label_counts.cumsum()]),
            start_s=np.concatenate([piece.start_s for piece in pieces]),
            end_s=np.concatenate([piece.end_s for piece in pieces]),
            vectors={
                name: self._to_float16(np.concatenate([piece.vectors[name] for piece in pieces]), name=name, ids=ids)
                for name in pieces[0].vectors
            },
        )

    def _to_float16(self, vectors: np.ndarray, *, name: str, ids: np.ndarray) -> np.ndarray:
        with np.errstate(over="ignore"):  # What is too large becomes infinite, and is found below.
            halves = vectors.astype(np.float16)
        unusable = np.flatnonzero(~np.isfinite(halves).all(axis=1))
        if unusable.size:
            row = unusable[0]
            is_finite = np.isfinite(vectors[row]).all()
            holds = "a value that float16 cannot hold (above 65,504)" if is_finite else "NaN or infinity"
            raise UnusableVectorsError(
                f"the embedding {name} of the embedder {self._embedder} holds {holds} for the clip {ids[row]} of the "
                f"split {self._split}"
            )
        return halves

    def __enter__(self) -> "Writer":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        try:
            if error is None:
                self._write(is_last=True)
                self._parquet.close()
        finally:
            self._file.close()


@dataclasses.dataclass(frozen=True, kw_only=True)
class _Piece:
    """Some rows of one clip; see `Writer.add`."""

    clip: Clip
    start_s: np.ndarray
    end_s: np.ndarray
    vectors: Mapping[str, np.ndarray]
