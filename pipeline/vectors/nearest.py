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

_FEWEST_QUERIES = 64
"""Queries that share a product at least; it is as many as a vector has values, if these are more."""

_UNSURE = 2e-5
"""Scores in float32 that differ by less are decided in float64. They are off by up to 8e-6 for 4,096 equal values."""


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
    # As many queries at a time as a vector has values: their products with a block are then no larger than the block.
    most = max(_FEWEST_QUERIES, index.vectors.shape[1])
    rows = max(1, _BLOCK_BYTES // (4 * most))
    starts = range(0, len(index.vectors), rows)
    best = [_Candidates(np.empty(0, np.int64), np.empty(0, np.float32)) for _ in queries]
    own_files = list(but) or [None] * len(queries)

    def compare(start: int) -> list[_Candidates]:
        block = slice(start, min(start + rows, len(index.vectors)))
        norms, files = index.norms[block], index.files[block]
        numbers = np.flatnonzero(np.isfinite(norms))
        vectors = index.vectors[block][numbers].astype(np.float32)
        lengths = np.where(norms > 0, norms, 1.0)[numbers, None]
        found = []
        for first in range(0, len(narrow), most):
            group = slice(first, first + most)
            scores = vectors @ narrow[group].T / lengths  # (rows, queries)
            for query, own in enumerate(own_files[group]):
                kept = slice(None) if own is None else files[numbers] != own
                candidates = _Candidates(numbers[kept] + start, scores[kept, query])
                found.append(_best(candidates, index.files, k=k, one_per_file=one_per_file))
        return found

    # The matrices are too small to split among threads, so each block has a thread.
    threads = len(os.sched_getaffinity(0))
    with threadpoolctl.threadpool_limits(1), futures.ThreadPoolExecutor(threads) as pool:
        for found in pool.map(compare, starts):
            for query, (old, new) in enumerate(zip(best, found, strict=True)):
                both = _Candidates(np.append(old.rows, new.rows), np.append(old.scores, new.scores))
                best[query] = _best(both, index.files, k=k, one_per_file=one_per_file)
    return [
        _exact(index, candidates.rows, query, k=k, one_per_file=one_per_file)
        for candidates, query in zip(best, unit, strict=True)
    ]


class _Candidates(NamedTuple):
    """Rows and their scores in float32, in any order."""

    rows: np.ndarray
    scores: np.ndarray


def _best(candidates: _Candidates, files: np.ndarray, *, k: int, one_per_file: bool) -> _Candidates:
    """Keeps the nearest k, and what float32 cannot tell from them, of which there may be any number."""
    rows, scores = candidates
    best = scores
    if one_per_file and len(rows):
        order = np.lexsort((-scores, files[rows]))
        rows, scores = rows[order], scores[order]
        is_first = np.append(True, np.diff(files[rows]) != 0)  # Of its file.
        best = scores[is_first]
        is_near = scores >= best[np.cumsum(is_first) - 1] - _UNSURE
        rows, scores = rows[is_near], scores[is_near]
    if len(best) > k:
        is_near = scores >= -np.partition(-best, k - 1)[k - 1] - _UNSURE
        rows, scores = rows[is_near], scores[is_near]
    return _Candidates(rows, scores)


def _exact(index: Index, rows: np.ndarray, query: np.ndarray, *, k: int, one_per_file: bool) -> Nearest:
    """Scores candidates in float64, and returns the nearest k."""
    step = max(1, _BLOCK_BYTES // (8 * len(query)))
    starts = range(0, len(rows), step)
    # Added up row by row: a matrix product may round equal rows differently.
    parts = [(_unit(index.vectors[rows[start : start + step]]) * query).sum(axis=1) for start in starts]
    cosines = np.concatenate([np.empty(0), *parts])
    order = np.lexsort((rows, -cosines))
    if one_per_file:
        _, firsts = np.unique(index.files[rows[order]], return_index=True)  # The first is the nearest.
        order = order[np.sort(firsts)]
    return Nearest(rows[order[:k]], cosines[order[:k]])


def _unit(vectors: np.ndarray) -> np.ndarray:
    """Returns vectors of length 1 in float64; zeros stay zeros."""
    wide = vectors.astype(np.float64)
    norms = np.linalg.norm(wide, axis=1, keepdims=True)
    return np.divide(wide, norms, out=np.zeros_like(wide), where=norms > 0)
