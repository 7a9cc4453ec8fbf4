"""Reads training rows in random order, in bounded memory."""

import dataclasses
from collections.abc import Iterator, Mapping, Sequence
from concurrent import futures

import numpy as np

from components.evaluator import vectors
from components.evaluator.vectors import LocatedGroup

POOL_BYTES = 2**28
"""Vectors in a pool. Two pools are in memory: one is trained on while the next one is read."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Pool:
    """Rows of row groups from all over the split.

    Attributes:
        vectors: Name of the embedding -> float16 (rows, dim).
        clip_of_row: int (rows,), the index of each row's clip.
    """

    vectors: Mapping[str, np.ndarray]
    clip_of_row: np.ndarray

    def __len__(self) -> int:
        return len(self.clip_of_row)

    def batches(self, size: int, *, rng: np.random.Generator) -> Iterator[tuple[dict[str, np.ndarray], np.ndarray]]:
        """Yields all rows in random order: the vectors of a batch, and the indices of its rows' clips."""
        order = rng.permutation(len(self))
        for first in range(0, len(order), size):
            rows = order[first : first + size]
            yield {name: values[rows] for name, values in self.vectors.items()}, self.clip_of_row[rows]


class Pools:
    """The training rows, pool by pool.

    A pool takes row groups at random until it is full, and its rows are drawn in random order. So a batch mixes rows
    of as many row groups as a pool holds. If all rows fit into one pool, they are read once and kept.

    Args:
        groups: The row groups, see `vectors.locate`.
        columns: The embeddings to read.
        dims: Name of the embedding -> size.
        seed: Fixes the order.
        pool_bytes: Size of a pool's vectors. A row group that is larger is a pool of its own.
    """

    def __init__(
        self,
        groups: Sequence[LocatedGroup],
        *,
        columns: Sequence[str],
        dims: Mapping[str, int],
        seed: int,
        pool_bytes: int = POOL_BYTES,
    ):
        self._groups, self._columns, self._dims, self._seed = groups, columns, dims, seed
        row_bytes = 2 * sum(dims[name] for name in columns)
        self._most_rows = max(1, pool_bytes // row_bytes)
        self.rows = sum(group.rows for group in groups)
        self._kept: Pool | None = None

    def epoch(self, number: int) -> Iterator[Pool]:
        """Yields the pools of an epoch; each row is in one of them. The order differs from epoch to epoch."""
        if self.rows <= self._most_rows:
            self._kept = self._kept or self._read(self._groups)
            yield self._kept
            return
        plan = self._plan(np.random.default_rng((self._seed, number)))
        with futures.ThreadPoolExecutor(1) as reader:
            coming = reader.submit(self._read, plan[0])
            for following in [*plan[1:], None]:
                pool = coming.result()
                if following is not None:
                    coming = reader.submit(self._read, following)
                yield pool
                del pool

    def _plan(self, rng: np.random.Generator) -> list[list[LocatedGroup]]:
        plan: list[list[LocatedGroup]] = []
        room = 0
        for index in rng.permutation(len(self._groups)):
            rows = self._groups[index].rows
            if rows > room:
                plan.append([])
                room = self._most_rows
            plan[-1].append(self._groups[index])
            room -= rows
        return plan

    def _read(self, groups: Sequence[LocatedGroup]) -> Pool:
        whole = vectors.joined(
            (group.read(self._columns) for group in groups),
            rows=sum(group.rows for group in groups),
            dims={name: self._dims[name] for name in self._columns},
        )
        return Pool(vectors=whole.vectors, clip_of_row=whole.clip_of_row)
