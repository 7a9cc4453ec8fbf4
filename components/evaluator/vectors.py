"""Reads the vectors of chosen clips into memory."""

import dataclasses
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

import numpy as np

from beam_jobs.embedding.read import Embeddings, RowGroup
from components.evaluator.clips import Clips


@dataclasses.dataclass(frozen=True, kw_only=True)
class Block:
    """Rows of some clips.

    Attributes:
        clip_of_row: int (rows,), the index of each row's clip.
        vectors: Name of the embedding -> float16 (rows, dim).
    """

    clip_of_row: np.ndarray
    vectors: Mapping[str, np.ndarray]


@dataclasses.dataclass(frozen=True, kw_only=True)
class LocatedGroup:
    """A row group that holds rows of chosen clips.

    Attributes:
        group: The row group.
        clip_of_row: int (rows of the group,), the index of each row's clip.
        wanted: bool (rows of the group,), the rows of the chosen clips.
    """

    group: RowGroup
    clip_of_row: np.ndarray
    wanted: np.ndarray

    @property
    def rows(self) -> int:
        """Number of rows of chosen clips."""
        return int(np.count_nonzero(self.wanted))

    def read(self, columns: Sequence[str]) -> Block:
        """Reads the rows of the chosen clips."""
        vectors = self.group.read(names=columns).vectors
        if self.wanted.all():
            return Block(clip_of_row=self.clip_of_row, vectors=vectors)
        return Block(
            clip_of_row=self.clip_of_row[self.wanted], vectors={name: vectors[name][self.wanted] for name in columns}
        )


def read_rows(
    embeddings: Embeddings, embedder: str, clips: Clips, *, chosen: np.ndarray, columns: Sequence[str]
) -> dict[str, np.ndarray]:
    """Reads all rows of some clips.

    Args:
        embeddings: The embeddings.
        embedder: Name of the embedder.
        clips: All its clips, see `read_clips`.
        chosen: bool (clips,), which of them to read.
        columns: The embeddings to read.

    Returns:
        Name of the embedding -> float16 (rows, dim), in the order of the clips.
    """
    dims = embeddings.info.embedders[embedder].dims
    total = int(clips.rows[chosen].sum())
    parts = blocks(embeddings, embedder, clips, chosen=chosen, columns=columns)
    return dict(joined(parts, rows=total, dims={name: dims[name] for name in columns}).vectors)


def joined(parts: Iterable[Block], *, rows: int, dims: Mapping[str, int]) -> Block:
    """Joins blocks. It takes one after the other, so that only one of them is in memory beside the result.

    Args:
        parts: The blocks.
        rows: Number of rows of all of them.
        dims: Name of each embedding -> size.
    """
    vectors = {name: np.empty((rows, dim), np.float16) for name, dim in dims.items()}
    clip_of_row = np.empty(rows, np.int32)
    done = 0
    for block in parts:
        part = slice(done, done + len(block.clip_of_row))
        clip_of_row[part] = block.clip_of_row
        for name, values in vectors.items():
            values[part] = block.vectors[name]
        done = part.stop
    return Block(clip_of_row=clip_of_row, vectors=vectors)


def read_means(
    embeddings: Embeddings, embedder: str, clips: Clips, *, chosen: np.ndarray, columns: Sequence[str]
) -> dict[str, np.ndarray]:
    """Reads the mean vectors of some clips; see `read_rows`.

    Returns:
        Name of the embedding -> float32 (clips, dim).
    """
    dims = embeddings.info.embedders[embedder].dims
    return means_by_clip(
        blocks(embeddings, embedder, clips, chosen=chosen, columns=columns),
        clips,
        chosen=chosen,
        dims={name: dims[name] for name in columns},
        values_of=lambda vectors: {name: values.astype(np.float32) for name, values in vectors.items()},
    )


def means_by_clip(
    parts: Iterable[Block],
    clips: Clips,
    *,
    chosen: np.ndarray,
    dims: Mapping[str, int],
    values_of: Callable[[Mapping[str, np.ndarray]], Mapping[str, np.ndarray]],
) -> dict[str, np.ndarray]:
    """Averages what is computed of rows over those of each clip.

    Args:
        parts: The rows of the chosen clips, in order.
        clips: All clips of the embedder.
        chosen: bool (clips,).
        dims: Name -> size of the values.
        values_of: Of the vectors of a block: name -> float32 (rows, size).

    Returns:
        Name -> float32 (chosen clips, size).
    """
    means = {name: np.zeros((int(chosen.sum()), dim), np.float32) for name, dim in dims.items()}
    number = np.cumsum(chosen) - 1
    for block in parts:
        first = np.flatnonzero(np.append(True, block.clip_of_row[1:] != block.clip_of_row[:-1]))
        places = number[block.clip_of_row[first]]
        for name, values in values_of(block.vectors).items():  # A clip may go on in the next block.
            means[name][places] += np.add.reduceat(values, first, axis=0)
    counts = clips.rows[chosen, None].astype(np.float32)
    for values in means.values():
        values /= counts
    return means


def concatenated(vectors: Mapping[str, np.ndarray], columns: Sequence[str]) -> np.ndarray:
    """Returns some embeddings side by side, float32 (rows, dim)."""
    return np.concatenate([vectors[name].astype(np.float32) for name in columns], axis=1)


def blocks(
    embeddings: Embeddings, embedder: str, clips: Clips, *, chosen: np.ndarray, columns: Sequence[str]
) -> Iterator[Block]:
    """Yields the rows of the chosen clips in order, a row group at a time; see `read_rows`."""
    for group in locate(embeddings, embedder, clips, chosen=chosen):
        yield group.read(columns)


def locate(embeddings: Embeddings, embedder: str, clips: Clips, *, chosen: np.ndarray) -> list[LocatedGroup]:
    """Returns the row groups that hold rows of the chosen clips, in order; see `read_rows`."""
    clip_of_row = clips.clip_of_row.astype(np.int32)
    located = []
    start = 0
    for split in embeddings.info.splits:
        for group in embeddings.row_groups(embedder, split):
            within = clip_of_row[start : start + group.rows]
            start += group.rows
            wanted = chosen[within]
            if wanted.any():
                located.append(LocatedGroup(group=group, clip_of_row=within, wanted=wanted))
    return located
