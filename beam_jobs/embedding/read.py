"""Reads folders of embeddings, file by file or row group by row group, so that no table has to fit into memory."""

from collections.abc import Iterator, Sequence

import pyarrow as pa
import pyarrow.parquet as pq
from etils import epath

from beam_jobs import storage
from beam_jobs.embedding import table
from beam_jobs.embedding.info import DamagedEmbeddingsError, EmbeddingsInfo, read_info


class Embeddings:
    """A folder of embeddings.

    Args:
        folder: The folder.

    Raises:
        FileNotFoundError: The folder holds no embeddings.
        DamagedEmbeddingsError: Its description is damaged.
    """

    def __init__(self, folder: epath.PathLike):
        self.folder = epath.Path(folder)
        self.info: EmbeddingsInfo = read_info(folder)

    def files(self, embedder: str, split: str) -> list[epath.Path]:
        """Returns the files of a split, in order; none if the embedder has no clip of it."""
        names = self.info.embedders[embedder].files.get(split, {})
        return [self.folder / embedder / name for name in names]

    def blocks(self, embedder: str, split: str, *, names: Sequence[str] = ()) -> Iterator[table.Rows]:
        """Yields all rows of a split in order, a row group at a time.

        Args:
            embedder: Name of the embedder.
            split: Name of the split.
            names: The embeddings to read; none reads clip ids, labels and times alone, which is fast.

        Raises:
            DamagedEmbeddingsError: A file is missing or does not hold what was written.
        """
        for file in self.files(embedder, split):
            yield from read_file(file, names=names, rows=self.info.embedders[embedder].files[split][file.name])


def read_file(file: epath.Path, *, names: Sequence[str] = (), rows: int | None = None) -> Iterator[table.Rows]:
    """Yields the rows of one file, a row group at a time.

    Args:
        file: The file.
        names: The embeddings to read.
        rows: How many rows it has to hold; None does not check.

    Raises:
        DamagedEmbeddingsError: The file is missing, or does not hold what was written.
    """
    try:
        with storage.open_binary(file) as content, pq.ParquetFile(content) as parquet:
            if rows not in (None, parquet.metadata.num_rows):
                raise DamagedEmbeddingsError(file, f"holds {parquet.metadata.num_rows:,} of its {rows:,} rows")
            for group in range(parquet.num_row_groups):
                columns = [*table.METADATA_COLUMNS, *names]
                yield table.from_arrow(parquet.read_row_group(group, columns=columns), names=names)
    except FileNotFoundError as error:
        raise DamagedEmbeddingsError(file, "is missing") from error
    except (pa.ArrowException, KeyError) as error:
        raise DamagedEmbeddingsError(file, f"is damaged ({type(error).__name__}: {error})") from error
