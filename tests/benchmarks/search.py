"""Time and memory of the nearest neighbors: `python -m tests.benchmarks.search`.

Writes random float16 vectors as the Embedder does, and searches in them: the first call makes the memory-mapped index,
later calls read it. Each is a fresh process. What it finds is compared with a brute force in float64. The vectors and
their index take twice 2 GB in the temporary folder and are removed at the end.
"""

import argparse
import json
import os
import pathlib
import tempfile
import threading
import time

import numpy as np
import pyarrow.parquet as pq

from beam_jobs.embedding import table
from beam_jobs.embedding.embedder import Framing
from beam_jobs.embedding.info import EmbedderInfo, EmbeddingsInfo
from tests.benchmarks import measuring
from tests.benchmarks.record import RESULTS

DIM = 1024
SIZES = (10_000, 100_000, 1_000_000)
QUERIES = (1, 10, 100)
K = 10
_FILES = 16
_CHECKED_QUERIES = 3
_REPEATS = 3
_MODULE = "tests.benchmarks.search"


def main() -> None:
    """Runs the command, or one call in a process that the command started."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--sizes", type=int, nargs="*", default=SIZES, help="numbers of vectors")
    parser.add_argument("--results", type=pathlib.Path, default=RESULTS, help="folder of the result file")
    parser.add_argument("--call", nargs=2, metavar=("FOLDER", "CACHE"), help=argparse.SUPPRESS)
    flags = parser.parse_args()
    if flags.call:
        print(json.dumps(_call(*flags.call)))
        return
    figures = {}
    for size in flags.sizes:
        with tempfile.TemporaryDirectory() as folder:
            figures[str(size)] = _measure(pathlib.Path(folder), size)
    # Other programs on the same cores slow a search down.
    document = {"dim": DIM, "k": K, "load": round(os.getloadavg()[1], 1), "vectors": figures}
    measuring.save("search", document, results=flags.results)


def _measure(folder: pathlib.Path, size: int) -> dict[str, object]:
    _write(folder / "embeddings", size)
    calls = [measuring.in_a_fresh_process(_MODULE, "--call", folder / "embeddings", folder / "cache") for _ in range(2)]
    made, read = calls
    assert made["is_new"]
    assert not read["is_new"]
    return {
        "index_mib": made["index_mib"],
        "make_index_s": made["index_s"],
        "make_index_own_mib": made["index_own_mib"],
        "open_index_s": read["index_s"],
        "seconds": read["seconds"],
        "own_mib": read["own_mib"],
        "mapped_mib": read["mapped_mib"],
        "largest_difference": _check(folder / "embeddings", read["found"]),
    }


def _write(folder: pathlib.Path, size: int) -> None:
    """Writes the vectors of one embedder in `_FILES` files."""
    random = np.random.default_rng(0)
    (folder / "trained").mkdir(parents=True)
    files = {}
    for number in range(_FILES):
        rows = size // _FILES
        name = f"train-{number:05d}-of-{_FILES:05d}.parquet"
        with pq.ParquetWriter(folder / "trained" / name, table.schema({"log_mel": DIM})) as writer:
            for first in range(0, rows, 1024):
                count = min(1024, rows - first)
                vectors = random.standard_normal((count, DIM), np.float32).astype(np.float16)
                ids = np.array([f"{number}/{first + row}.wav" for row in range(count)], object)
                writer.write_table(table.to_arrow(_rows(ids, vectors)))
        files[name] = rows
    embedder = EmbedderInfo(
        digest="",
        framing=Framing(sample_rate=16000, window_samples=16000, hop_samples=8000),
        dims={"log_mel": DIM},
        clips={"train": sum(files.values())},
        files={"train": files},
    )
    EmbeddingsInfo(
        label_names=(),
        has_folds=False,
        splits={"train": sum(files.values())},
        row="clip",
        embedders={"trained": embedder},
    ).write(folder)


def _rows(ids: np.ndarray, vectors: np.ndarray) -> table.Rows:
    count = len(ids)
    return table.Rows(
        clip_ids=ids,
        splits=np.full(count, "train", object),
        folds=np.zeros(count, np.int32),
        label_values=np.zeros(0, np.int32),
        label_offsets=np.zeros(count + 1, np.int64),
        start_s=np.zeros(count),
        end_s=np.ones(count),
        vectors={"log_mel": vectors},
    )


def _queries(count: int) -> np.ndarray:
    return np.random.default_rng(1).standard_normal((count, DIM))


def _call(folder: str, cache: str) -> dict[str, object]:
    """Makes or reads the index and searches."""
    # Imported here because the parent process only waits.
    from pipeline.vectors import index, nearest
    from pipeline.vectors.stored import open_vectors

    stored = open_vectors(folder)
    with _Memory() as of_index:
        started = time.perf_counter()
        made = index.load(stored, cache=cache)
        index_s = time.perf_counter() - started
    seconds, own, mapped = {}, 0, 0
    for count in QUERIES:
        queries = _queries(count)
        with _Memory() as of_search:
            times = []
            for _ in range(_REPEATS):
                started = time.perf_counter()
                results = nearest.search(made, queries, k=K)
                times.append(time.perf_counter() - started)
        seconds[str(count)] = round(min(times), 4)
        own, mapped = max(own, of_search.own_mib), max(mapped, of_search.mapped_mib)
    found = [(one.rows.tolist(), one.cosines.tolist()) for one in results[:_CHECKED_QUERIES]]
    return {
        "is_new": made.is_new,
        "index_mib": round(made.vectors.nbytes / 2**20),
        "index_s": round(index_s, 2),
        "index_own_mib": of_index.own_mib,
        "seconds": seconds,
        "own_mib": own,
        "mapped_mib": mapped,
        "found": found,
    }


class _Memory:
    """Watches the memory of this process: its own, and the pages of mapped files, which the system can take back."""

    def __init__(self):
        self.own_mib = self.mapped_mib = 0
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._watch)

    def __enter__(self) -> "_Memory":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        self._thread.join()

    def _watch(self) -> None:
        while True:
            self.own_mib = max(self.own_mib, measuring.memory_kib("RssAnon") // 1024)
            self.mapped_mib = max(self.mapped_mib, measuring.memory_kib("RssFile") // 1024)
            if self._ended.wait(0.01):
                return


def _check(folder: pathlib.Path, found: list[tuple[list[int], list[float]]]) -> float:
    """Compares what was found with a brute force in float64 over the Parquet files.

    Returns:
        The largest difference of a cosine.
    """
    # Imported here for the reason in `_call`.
    from pipeline.vectors.stored import open_vectors

    queries = _queries(QUERIES[-1])[: len(found)]
    queries /= np.linalg.norm(queries, axis=1, keepdims=True)
    cosines = []
    for _, vectors in open_vectors(str(folder)).blocks():
        wide = vectors.astype(np.float64)
        cosines.append(wide @ queries.T / np.linalg.norm(wide, axis=1, keepdims=True))
    largest = 0.0
    for expected, (rows, values) in zip(np.concatenate(cosines).T, found, strict=True):
        best = np.argsort(-expected, kind="stable")[:K]
        assert best.tolist() == rows, (best, rows)
        largest = max(largest, float(np.abs(expected[best] - values).max()))
    return largest


if __name__ == "__main__":
    main()
