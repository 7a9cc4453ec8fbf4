"""Writes Parquet files as `diptych embed` does, and folders as the Embedder does."""

import pathlib
from collections.abc import Mapping, Sequence

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from beam_jobs.embedding import table
from beam_jobs.embedding.embedder import Framing
from beam_jobs.embedding.info import EmbedderInfo, EmbeddingsInfo

FRAMING = Framing(sample_rate=16000, window_samples=8000, hop_samples=4000)


def write_file(
    path: pathlib.Path,
    vectors: np.ndarray | Mapping[str, np.ndarray],
    *,
    names: Sequence[str] | None = None,
    row_group_rows: int = 100,
) -> None:
    """Writes a file with a row for each vector. Consecutive rows of one name are its windows, a second apart."""
    columns = vectors if isinstance(vectors, Mapping) else {"embedding": vectors}
    rows = len(next(iter(columns.values())))
    names = names or [f"{row}.wav" for row in range(rows)]
    start_s = np.array([sum(names[other] == names[row] for other in range(row)) for row in range(rows)], float)
    table_ = {"file": list(names), "start_s": start_s, "end_s": start_s + 1.0}
    table_ |= {name: pa.array(list(values), pa.list_(pa.float32())) for name, values in columns.items()}
    pq.write_table(pa.table(table_), path, row_group_size=row_group_rows)


def write_folder(
    folder: pathlib.Path,
    embedders: Mapping[str, Mapping[str, np.ndarray]],
    *,
    labels: Sequence[int] = (),
    label_names: Sequence[str] = (),
    splits: Sequence[str] = ("train",),
) -> None:
    """Writes a folder in which every split holds the same clips, with a row each."""
    infos = {}
    for embedder, columns in embedders.items():
        rows = len(next(iter(columns.values())))
        files = {}
        (folder / embedder).mkdir(parents=True)
        for split in splits:
            name = f"{split}-00000-of-00001.parquet"
            content = table.Rows(
                clip_ids=np.array([f"{split}/{row}.wav" for row in range(rows)], object),
                splits=np.full(rows, split, object),
                folds=np.zeros(rows, np.int32),
                label_values=np.array(labels or [0] * rows, np.int32),
                label_offsets=np.arange(rows + 1),
                start_s=np.zeros(rows),
                end_s=np.full(rows, 2.0),
                vectors=columns,
            )
            pq.write_table(table.to_arrow(content), folder / embedder / name, row_group_size=100)
            files[split] = {name: rows}
        infos[embedder] = EmbedderInfo(
            digest=f"digest of {embedder}",
            framing=FRAMING,
            dims={name: values.shape[1] for name, values in columns.items()},
            clips=dict.fromkeys(splits, rows),
            files=files,
        )
    info = EmbeddingsInfo(
        label_names=tuple(label_names),
        has_folds=False,
        splits=dict.fromkeys(splits, rows),
        row="clip",
        embedders=infos,
    )
    info.write(folder)


def random(*shape: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=shape).astype(np.float32)
