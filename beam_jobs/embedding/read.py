"""Reads folders of embeddings, file by file or row group by row group, so that no table has to fit into memory."""

import contextlib
import dataclasses
from collections.abc import Iterator, Sequence

from etils import epath

from beam_jobs.embedding import parquet, table
from beam_jobs.embedding.info import DamagedEmbeddingsError, EmbeddingsInfo, read_info


@dataclasses.dataclass(frozen=True, kw_only=True)
class RowGroup:
    """A part of a file that can be read alone.

    Attributes:
        file: The file.
        number: Which of its row groups this is, counted from 0.
        rows: Number of its rows.
    """

    file: epath.Path
    number: int
    rows: int

    def read(self, *, names: Sequence[str] = ()) -> table.Rows:
        """Reads the rows, with the embeddings of the given names.

        Raises:
            DamagedEmbeddingsError: The file is missing or does not hold what was written.
        """
        with _opened(self.file) as reader:
            return _read_group(reader, self.number, names=names, file=self.file)


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

    def row_groups(self, embedder: str, split: str) -> list[RowGroup]:
        """Returns the row groups of a split, in order, so that they can be read in another one.

        Raises:
            DamagedEmbeddingsError: A file is missing or does not hold what was written.
        """
        groups = []
        for file in self.files(embedder, split):
            with _opened(file, rows=self.info.embedders[embedder].files[split][file.name]) as reader:
                for number, rows in enumerate(reader.group_rows):
                    groups.append(RowGroup(file=file, number=number, rows=rows))
        return groups


def read_file(file: epath.Path, *, names: Sequence[str] = (), rows: int | None = None) -> Iterator[table.Rows]:
    """Yields the rows of one file, a row group at a time.

    Args:
        file: The file.
        names: The embeddings to read.
        rows: How many rows it has to hold; None does not check.

    Raises:
        DamagedEmbeddingsError: The file is missing, or does not hold what was written.
    """
    with _opened(file, rows=rows) as reader:
        for group in range(len(reader.group_rows)):
            yield _read_group(reader, group, names=names, file=file)


@contextlib.contextmanager
def _opened(file: epath.Path, *, rows: int | None = None) -> Iterator[parquet.Reader]:
    with parquet.opened(file, damage=DamagedEmbeddingsError) as reader:
        if rows not in (None, reader.rows):
            raise DamagedEmbeddingsError(file, f"holds {reader.rows:,} of its {rows:,} rows")
        yield reader


def _read_group(reader: parquet.Reader, group: int, *, names: Sequence[str], file: epath.Path) -> table.Rows:
    read = reader.read_group(group, columns=[*table.METADATA_COLUMNS, *names])
    wrong = table.wrong_column(read)
    if wrong is not None:
        raise DamagedEmbeddingsError(file, f"is damaged (its column {wrong} is not as it was written)")
    return table.from_arrow(read, names=names)
