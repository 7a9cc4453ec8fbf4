"""Finds the nearest vectors by cosine, exactly, a block of the index at a time."""

import os
from collections.abc import Sequence
from concurrent import futures
from typing import NamedTuple

import numpy as np
import threadpoolctl

from pipeline.vectors.index import Index

_BLOCK_BYTES = 2**24
"""Size of a block in float32. It stays in the processor's cache while it is compared with the queries."""

_RESERVE = 32
"""So many more candidates than asked for are scored again in float64, which decides their order."""


class Nearest(NamedTuple):
    """The nearest rows of one query, the best first.

    Attributes:
        rows: int64 (hits,), their numbers.
        cosines: float64 (hits,).
    """

    rows: np.ndarray
    cosines: np.ndarray


def search(
    index: Index, queries: np.ndarray, *, k: int, one_per_file: bool = False, but: Sequence[int | None] = ()
) -> list[Nearest]:
    """Finds the rows with the largest cosines to queries. Vectors of zeros have a cosine of 0 to all.

    Args:
        index: The vectors to search in. Those that are not finite are passed over.
        queries: float (queries, dim), finite.
        k: How many to find; fewer if there are not as many.
        one_per_file: Whether of a file only the nearest row counts.
        but: For each query the number of a file (see `Index.files`) that is no hit, or None; empty for none.

    Returns:
        One result for each query. Equal cosines are in the order of the rows.
    """
    unit = _unit(queries)
    narrow = unit.astype(np.float32)
    keep = k + _RESERVE
    rows = max(1, _BLOCK_BYTES // (4 * index.vectors.shape[1]))
    starts = range(0, len(index.vectors), rows)
    best = [_Candidates(np.empty(0, np.int64), np.empty(0, np.float32)) for _ in queries]

    def compare(start: int) -> list[_Candidates]:
        block = slice(start, min(start + rows, len(index.vectors)))
        norms, files = index.norms[block], index.files[block]
        products = index.vectors[block].astype(np.float32) @ narrow.T  # (rows, queries)
        numbers = np.flatnonzero(np.isfinite(norms))
        scores = products[numbers] / np.where(norms > 0, norms, 1.0)[numbers, None]
        found = []
        for query, own in enumerate(but or [None] * len(narrow)):
            kept = slice(None) if own is None else files[numbers] != own
            found.append(
                _best(numbers[kept] + start, scores[kept, query], index.files, keep=keep, one_per_file=one_per_file)
            )
        return found

    # The matrices are too small to split among threads, so each block has a thread.
    with threadpoolctl.threadpool_limits(1), futures.ThreadPoolExecutor(os.cpu_count()) as pool:
        for found in pool.map(compare, starts):
            for query, (old, new) in enumerate(zip(best, found, strict=True)):
                numbers, scores = np.append(old.rows, new.rows), np.append(old.scores, new.scores)
                best[query] = _best(numbers, scores, index.files, keep=keep, one_per_file=one_per_file)
    return [_exact(index, candidates, query, k=k) for candidates, query in zip(best, unit, strict=True)]


class _Candidates(NamedTuple):
    """Rows and their scores in float32, the best first."""

    rows: np.ndarray
    scores: np.ndarray


def _best(rows: np.ndarray, scores: np.ndarray, files: np.ndarray, *, keep: int, one_per_file: bool) -> _Candidates:
    if not one_per_file and len(rows) > keep:
        chosen = np.argpartition(-scores, keep)[:keep]
        rows, scores = rows[chosen], scores[chosen]
    order = np.lexsort((rows, -scores))
    if one_per_file:
        _, firsts = np.unique(files[rows[order]], return_index=True)  # The first is the nearest.
        order = order[np.sort(firsts)[:keep]]
    return _Candidates(rows[order], scores[order])


def _exact(index: Index, candidates: _Candidates, query: np.ndarray, *, k: int) -> Nearest:
    """Scores candidates in float64. What float32 has rounded away decides among near ties."""
    cosines = _unit(index.vectors[candidates.rows]) @ query
    order = np.lexsort((candidates.rows, -cosines))[:k]
    return Nearest(candidates.rows[order], cosines[order])


def _unit(vectors: np.ndarray) -> np.ndarray:
    """Returns vectors of length 1 in float64; zeros stay zeros."""
    wide = vectors.astype(np.float64)
    norms = np.linalg.norm(wide, axis=1, keepdims=True)
    return np.divide(wide, norms, out=np.zeros_like(wide), where=norms > 0)
