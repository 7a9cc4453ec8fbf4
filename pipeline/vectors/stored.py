"""Opens stored embeddings: a Parquet file of `diptych embed`, or a folder that the Embedder has written."""

import dataclasses
import itertools
import os
from collections.abc import Iterator, Sequence

import numpy as np
import pyarrow as pa
from etils import epath

from beam_jobs import storage
from beam_jobs.embedding import info as embeddings_info
from components.errors import UserError
from components.evaluator.features import BOTH, sets_by_embedder
from pipeline.serving.embedding import outputs
from pipeline.vectors import rows_of_files

_TIMES = ("start_s", "end_s")


@dataclasses.dataclass(frozen=True, kw_only=True)
class Places:
    """What some rows are the vectors of.

    Attributes:
        names: str (rows,), as objects: the file, or the clip's id.
        start_s: float64 (rows,), where the window begins in the file, in seconds.
        end_s: float64 (rows,), where it ends.
    """

    names: np.ndarray
    start_s: np.ndarray
    end_s: np.ndarray


@dataclasses.dataclass(frozen=True, kw_only=True)
class StoredVectors:
    """The vectors of one set of features, in one or several Parquet files.

    Attributes:
        path: What the user named.
        files: The Parquet files, in order.
        rows: Number of rows of each file.
        name_column: The column that tells what a row is of.
        columns: The columns of vectors, which are concatenated.
        dims: Size of each of them.
        model_digest: Digest of the model that made them, or "" if it is not known.
        folder: Where relative names of files lead from, or "" if it is not known.
    """

    path: str
    files: Sequence[epath.Path]
    rows: Sequence[int]
    name_column: str
    columns: Sequence[str]
    dims: Sequence[int]
    model_digest: str = ""
    folder: str = ""

    @property
    def dim(self) -> int:
        """Size of a vector."""
        return sum(self.dims)

    def __len__(self) -> int:
        return sum(self.rows)

    def state(self) -> list[tuple[int, ...]]:
        """Returns what changes when a file is written again or removed, see `rows_of_files.state`."""
        return [rows_of_files.state(file) for file in self.files]

    def blocks(self) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        """Yields all rows in order, some thousands at a time: str (rows,) names, and float (rows, dim) vectors.

        Raises:
            UserError: A file is damaged.
        """
        for file in self.files:
            for batch in rows_of_files.batches(file, columns=[self.name_column, *self.columns]):
                yield rows_of_files.names(batch.column(self.name_column), file=file), self._matrix(batch, file=file)

    def names(self) -> Iterator[np.ndarray]:
        """Yields the names of all rows in order, some thousands at a time."""
        for file in self.files:
            for batch in rows_of_files.batches(file, columns=[self.name_column]):
                yield rows_of_files.names(batch.column(0), file=file)

    def files_of_rows(self) -> Iterator[str]:
        """Yields the name of each file once. The rows of a file are consecutive."""
        last = None
        for names in self.names():
            for name in names[np.flatnonzero(np.append(True, names[1:] != names[:-1]))].tolist():
                if name != last:
                    yield name
                last = name

    def means(self) -> Iterator[tuple[str, np.ndarray]]:
        """Yields each file and the mean of its vectors, float64 (dim,). The rows of a file are consecutive."""
        last, total, count = None, np.zeros(self.dim), 0
        for names, vectors in self.blocks():
            firsts = np.flatnonzero(np.append(True, names[1:] != names[:-1]))
            sums = np.add.reduceat(vectors.astype(np.float64), firsts, axis=0)
            counts = np.diff(np.append(firsts, len(names)))
            for name, sum_of_part, rows in zip(names[firsts], sums, counts, strict=True):
                if name != last:
                    if count:
                        yield last, total / count
                    last, total, count = name, np.zeros(self.dim), 0
                total, count = total + sum_of_part, count + rows
        if count:
            yield last, total / count

    def places(self, rows: np.ndarray) -> Places:
        """Returns what rows are of. It reads the groups of rows that hold them, without the vectors.

        Args:
            rows: int (n,), numbers of rows, in any order; there may be none.

        Raises:
            UserError: A file is missing, damaged, or has another number of rows than it had.
        """
        if not len(rows):
            return Places(names=np.empty(0, object), start_s=np.empty(0), end_s=np.empty(0))
        table = self._take(rows, columns=[self.name_column, *_TIMES])
        names, start_s, end_s = (table[name].to_numpy() for name in table.column_names)
        return Places(names=names, start_s=start_s, end_s=end_s)

    def vectors(self, rows: np.ndarray) -> np.ndarray:
        """Returns the vectors of a few rows, float (n, dim); see `places`."""
        table = self._take(rows, columns=self.columns).combine_chunks()
        return self._matrix(table.to_batches()[0], file=self.files[0])

    def _matrix(self, batch: pa.RecordBatch, *, file: epath.Path) -> np.ndarray:
        parts = [
            rows_of_files.matrix(batch.column(name), dim=dim, file=file, name=name)
            for name, dim in zip(self.columns, self.dims, strict=True)
        ]
        return parts[0] if len(parts) == 1 else np.concatenate(parts, axis=1)

    def _take(self, rows: np.ndarray, *, columns: Sequence[str]) -> pa.Table:
        wanted = np.unique(rows)
        tables = []
        first = 0
        for file, count in zip(self.files, self.rows, strict=True):
            of_file = wanted[(wanted >= first) & (wanted < first + count)] - first
            if of_file.size:
                tables.append(rows_of_files.take(file, of_file, columns=columns, of=count))
            first += count
        return pa.concat_tables(tables).take(np.searchsorted(wanted, rows))


def open_vectors(path: str, *, features: str = "") -> StoredVectors:
    """Opens stored embeddings.

    Args:
        path: A Parquet file of `diptych embed`, or a folder that the Embedder has published.
        features: Of a file, a column of vectors, by default `embedding`. Of a folder, a set of features as in
            `metrics.json`, e.g. `log_mel`, `untrained/both` or `mfcc_mean_std`; by default that of the trained model
            with all its encoders.

    Raises:
        UserError: There are no such embeddings or features, or the file is damaged.
    """
    place = epath.Path(path)
    if path and storage.is_folder(place):
        return _open_folder(path, features=features)
    if not path or not place.exists():
        raise UserError(f"--embeddings {path or repr(path)}: there is no such file or folder; `diptych embed` makes it")
    if place.suffix in (".npz", ".csv"):
        raise UserError(
            f"--embeddings {path} is not Parquet: let `diptych embed` write a file whose name ends in .parquet"
        )
    return _open_file(path, features=features)


def _open_file(path: str, *, features: str) -> StoredVectors:
    place = epath.Path(path)
    with rows_of_files.opened(place) as reader:
        schema, rows = reader.schema, reader.rows
    metadata = schema.metadata or {}
    vectors = [field.name for field in schema if _is_vector(field.type)]
    missing = [name for name in ("file", *_TIMES) if name not in schema.names]
    if missing or not vectors:
        raise UserError(
            f"--embeddings {path} has no column {missing[0] if missing else outputs.WHOLE}: give a file that `diptych "
            "embed` has written"
        )
    column = _chosen(features or outputs.WHOLE, vectors, path=path)
    if not rows:
        raise UserError(f"--embeddings {path} holds no vector: embed at least one file")
    wrong = [
        *([] if _is_text(schema.field("file").type) else ["file, which must hold text"]),
        *(f"{name}, which must hold numbers" for name in _TIMES if not _is_number(schema.field(name).type)),
    ]
    if wrong:
        raise UserError(f"--embeddings {path}: its column {wrong[0]}: give a file that `diptych embed` has written")
    return StoredVectors(
        path=path,
        files=[place],
        rows=[rows],
        name_column="file",
        columns=[column],
        dims=[_first_size(place, column)],
        model_digest=metadata.get(outputs.MODEL.encode(), b"").decode(),
        folder=os.fsdecode(metadata.get(outputs.FOLDER.encode(), b"")),
    )


def _open_folder(path: str, *, features: str) -> StoredVectors:
    try:
        info = embeddings_info.read_info(path)
    except FileNotFoundError as error:
        raise UserError(
            f"--embeddings {path} holds no {embeddings_info.FILE}: give a folder that the Embedder published, or a "
            "Parquet file of `diptych embed`"
        ) from error
    except embeddings_info.DamagedEmbeddingsError as error:
        raise UserError(str(error)) from error
    sets = {chosen.name: chosen for chosen in itertools.chain(*sets_by_embedder(info.embedders).values())}
    defaults = [name for name in (BOTH, *sets) if name in sets]
    chosen = sets[_chosen(features or defaults[0], list(sets), path=path)]
    embedder, columns = chosen.embedder, chosen.columns
    of_embedder = info.embedders[embedder]
    counts = {
        epath.Path(path) / embedder / name: rows for files in of_embedder.files.values() for name, rows in files.items()
    }
    if not sum(counts.values()):
        raise UserError(f"--embeddings {path} holds no vector of {embedder}: choose another with --features")
    return StoredVectors(
        path=path,
        files=list(counts),
        rows=list(counts.values()),
        name_column="clip_id",
        columns=columns,
        dims=[of_embedder.dims[name] for name in columns],
        model_digest=of_embedder.digest,
    )


def _chosen(features: str, known: Sequence[str], *, path: str) -> str:
    if features not in known:
        raise UserError(f"--features {features}: {path} has {', '.join(known)}; choose one of them")
    return features


def _is_vector(kind: pa.DataType) -> bool:
    is_list = pa.types.is_list(kind) or pa.types.is_large_list(kind) or pa.types.is_fixed_size_list(kind)
    return is_list and pa.types.is_floating(kind.value_type)


def _is_text(kind: pa.DataType) -> bool:
    values = kind.value_type if pa.types.is_dictionary(kind) else kind
    return pa.types.is_string(values) or pa.types.is_large_string(values) or pa.types.is_string_view(values)


def _is_number(kind: pa.DataType) -> bool:
    return pa.types.is_floating(kind) or pa.types.is_integer(kind)


def _first_size(file: epath.Path, column: str) -> int:
    first = next(rows_of_files.batches(file, columns=[column], rows=1)).column(0)[0]
    return len(first) if first.is_valid else 0
