"""The search against a brute force in float64 over the same vectors."""

import dataclasses
import os
import threading
import time
import tracemalloc

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.vectors import index, nearest
from tests.pipeline.vectors.stored_files import random


def make_index(vectors, files=None):
    halves, norms = index.scaled(np.asarray(vectors))
    files = np.arange(len(halves)) if files is None else np.asarray(files)
    return index.Index(vectors=halves, norms=norms, files=files.astype(np.int32))


def brute_force(made, query, *, k, one_per_file=False, but=None):
    """Returns rows and cosines, row by row in Python."""
    rows, query = [], np.asarray(query, np.float64)
    for row, vector in enumerate(made.vectors.astype(np.float64)):
        lengths = np.linalg.norm(vector) * np.linalg.norm(query)
        if np.isnan(made.norms[row]) or made.files[row] == but:
            continue
        rows.append((-(vector @ query) / lengths if lengths else 0.0, row))
    kept, seen = [], set()
    for cosine, row in sorted(rows):
        if one_per_file and made.files[row] in seen:
            continue
        seen.add(made.files[row])
        kept.append((row, -cosine))
    return kept[:k]


def check(found, expected):
    """Checks that the cosines agree, and the rows but for those of equal cosines."""
    np.testing.assert_allclose(found.cosines, [cosine for _, cosine in expected], rtol=0, atol=1e-12)
    cosines = np.array([cosine for _, cosine in expected])
    for position, (row, cosine) in enumerate(expected):
        if (np.abs(cosines - cosine) < 1e-9).sum() == 1 and position < len(expected) - 1:
            assert found.rows[position] == row


@pytest.mark.parametrize("one_per_file", [False, True])
@pytest.mark.parametrize("block_bytes", [4 * 16 * 7, 2**24])
def test_it_finds_what_a_brute_force_finds(monkeypatch, one_per_file, block_bytes):
    monkeypatch.setattr(nearest, "_BLOCK_BYTES", block_bytes)
    vectors = random(500, 16) + 2.0
    made = make_index(vectors, files=np.arange(500) // 3)
    queries = random(5, 16, seed=1) + 2.0
    but = [None, 3, 0, 166, None]
    found = nearest.search(made, queries, k=20, one_per_file=one_per_file, but=but)
    for query, own, of_query in zip(queries, but, found, strict=True):
        expected = brute_force(made, query, k=20, one_per_file=one_per_file, but=own)
        assert of_query.rows.tolist() == [row for row, _ in expected]
        check(of_query, expected)


@given(
    vectors=st.lists(
        st.lists(st.sampled_from([-2.0, -1.0, 0.0, 0.5, 1.0, np.nan]), min_size=3, max_size=3), min_size=1
    ),
    query=st.lists(st.sampled_from([-1.0, 0.25, 3.0]), min_size=3, max_size=3),
    k=st.integers(1, 12),
    one_per_file=st.booleans(),
)
def test_equal_and_empty_vectors(vectors, query, k, one_per_file):
    made = make_index(np.array(vectors, np.float32), files=np.arange(len(vectors)) // 2)
    (found,) = nearest.search(made, np.array([query]), k=k, one_per_file=one_per_file)
    expected = brute_force(made, np.array(query), k=k, one_per_file=one_per_file)
    assert len(found.rows) == len(expected)
    check(found, expected)


def test_near_ties_are_ordered_as_in_float64():
    """The cosines differ by less than float32 can tell."""
    base = np.zeros((40, 64), np.float16)
    base[:, 0] = 1.0
    base[np.arange(40), 1 + np.arange(40)] = np.float16(2.0**-13) * (1 + np.arange(40)[::-1] / 64)
    made = make_index(base)
    query = np.eye(64)[0]
    (found,) = nearest.search(made, query[None], k=8)
    assert found.rows.tolist() == list(range(39, 31, -1))


@pytest.mark.parametrize("one_per_file", [False, True])
@pytest.mark.parametrize("block_bytes", [4 * 8 * 333, 2**24])
def test_any_number_of_equal_vectors_is_in_the_order_of_the_rows(monkeypatch, one_per_file, block_bytes):
    monkeypatch.setattr(nearest, "_BLOCK_BYTES", block_bytes)
    vectors = np.tile(random(1, 8), (5000, 1))
    vectors[::2] *= -1.0
    made = make_index(vectors, files=np.arange(5000) // 4)
    (found,) = nearest.search(made, vectors[1:2], k=5, one_per_file=one_per_file)
    assert found.rows.tolist() == ([1, 5, 9, 13, 17] if one_per_file else [1, 3, 5, 7, 9])


@pytest.mark.parametrize("one_per_file", [False, True])
def test_any_number_of_near_ties_is_decided_in_float64(one_per_file):
    """Thousands of cosines differ by less than float32 can tell."""
    rng = np.random.default_rng(0)
    base = rng.normal(size=64)
    made = make_index(base + 1e-3 * rng.normal(size=(3000, 64)), files=np.arange(3000) // 3)
    (found,) = nearest.search(made, base[None], k=10, one_per_file=one_per_file)
    expected = brute_force(made, base, k=10, one_per_file=one_per_file)
    assert found.rows.tolist() == [row for row, _ in expected]


def test_more_hits_than_rows():
    made = make_index(random(3, 4))
    (found,) = nearest.search(made, random(1, 4, seed=1), k=10)
    assert sorted(found.rows) == [0, 1, 2]


def test_many_queries_take_no_more_memory_than_a_few():
    made = make_index(random(30_000, 16))
    queries = random(500, 16, seed=1)
    but = [number % 7 or None for number in range(500)]
    tracemalloc.start()
    found = nearest.search(made, queries, k=3, but=but)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 40e6  # All products at once take 60 MB, and twice.
    for place in (0, 63, 64, 499):
        (alone,) = nearest.search(made, queries[place : place + 1], k=3, but=but[place : place + 1])
        assert found[place].rows.tolist() == alone.rows.tolist()
        check(found[place], brute_force(made, queries[place], k=3, but=but[place]))


def test_there_is_a_thread_for_each_core_that_the_process_may_use(monkeypatch):
    class Slow:
        """Vectors that tell which threads read them."""

        def __init__(self, vectors):
            self.shape, self.threads, self._vectors = vectors.shape, set(), vectors

        def __len__(self):
            return len(self._vectors)

        def __getitem__(self, rows):
            self.threads.add(threading.get_ident())
            time.sleep(0.01)  # Meanwhile another thread would take the next block.
            return self._vectors[rows]

    monkeypatch.setattr(nearest, "_BLOCK_BYTES", 4 * 64 * 10)
    made = make_index(random(200, 8))
    slow, cores = Slow(made.vectors), os.sched_getaffinity(0)
    os.sched_setaffinity(0, {min(cores)})
    try:
        (found,) = nearest.search(dataclasses.replace(made, vectors=slow), random(1, 8, seed=1), k=3)
    finally:
        os.sched_setaffinity(0, cores)
    check(found, brute_force(made, random(1, 8, seed=1)[0], k=3))
    assert len(slow.threads - {threading.get_ident()}) == 1
