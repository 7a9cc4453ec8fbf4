"""Writes small folders of embeddings for the tests of stages that read them."""

import numpy as np
import pyarrow.parquet as pq
from etils import epath

from beam_jobs.embedding import info, table
from beam_jobs.embedding.embedder import Framing

FRAMING = Framing(sample_rate=16000, window_samples=16000, hop_samples=8000)


def write_embeddings(
    folder,
    clips,
    embedders,
    *,
    label_names=(),
    has_folds=False,
    row="window",
    files=2,
    group_rows=16,
    seed=0,
    samples=None,
):
    """Writes a folder of embeddings. The windows of a clip lie around the sum of the centers of its classes.

    Args:
        folder: To be created.
        clips: Split -> list of (labels, fold, windows). The id of a clip is its split and its index, or a fourth item.
        embedders: Name -> name of the embedding -> (dim, distance of the centers in standard deviations of a window).
        label_names: Names of the classes.
        has_folds: Whether the metadata mentions folds.
        row: What a row holds, "window" or "clip".
        files: Number of files of each split.
        group_rows: Rows in a row group.
        seed: Seed of the vectors.
        samples: Embedder -> split -> indices of the clips that it has embedded; all, if it is not mentioned.

    Returns:
        The folder.
    """
    folder = epath.Path(folder)
    written = {}
    for number, (name, dims) in enumerate(embedders.items()):
        rng = np.random.default_rng((seed, number))
        centers = {
            column: distance * rng.normal(size=(max(1, len(label_names)), dim))
            for column, (dim, distance) in dims.items()
        }
        counts, file_rows = {}, {}
        for split, stored in clips.items():
            chosen = (samples or {}).get(name, {}).get(split, range(len(stored)))
            parts = np.array_split(np.array(chosen, int), files)
            counts[split] = len(chosen)
            file_rows[split] = {}
            for part, indices in enumerate(parts):
                file = f"{split}-{part:05d}-of-{files:05d}.parquet"
                rows = _rows([(split, index, *stored[index]) for index in indices], centers, rng, row=row)
                (folder / name).mkdir(parents=True, exist_ok=True)
                pq.write_table(table.to_arrow(rows), folder / name / file, row_group_size=group_rows)
                file_rows[split][file] = len(rows)
        written[name] = info.EmbedderInfo(
            digest=name,
            framing=FRAMING,
            dims={column: dim for column, (dim, _) in dims.items()},
            clips=counts,
            files=file_rows,
        )
    info.EmbeddingsInfo(
        label_names=tuple(label_names),
        has_folds=has_folds,
        splits={split: len(stored) for split, stored in clips.items()},
        row=row,
        embedders=written,
    ).write(folder)
    return folder


def _rows(clips, centers, rng, *, row):
    """Draws the rows of some clips, given by split, index, labels, fold, windows and perhaps an id."""
    windows = [1 if row == "clip" else clip[4] for clip in clips]
    clip_of_row = np.repeat(np.arange(len(clips)), windows)
    labels = [clips[index][2] for index in clip_of_row]
    ids = [clip[5] if len(clip) > 5 else f"{clip[0]}{clip[1]}" for clip in clips]
    number = np.arange(len(clip_of_row)) - np.repeat(np.cumsum([0, *windows[:-1]]), windows) if clips else np.array([])
    vectors = {}
    for column, center in centers.items():
        means = np.array([center[list(clip[2])].sum(axis=0) for clip in clips]).reshape(-1, center.shape[1])
        of_clips = means + rng.normal(size=means.shape)
        vectors[column] = (of_clips[clip_of_row] + rng.normal(size=(len(clip_of_row), center.shape[1]))).astype(
            np.float16
        )
    return table.Rows(
        clip_ids=np.array(ids, object)[clip_of_row],
        splits=np.array([clips[index][0] for index in clip_of_row], object),
        folds=np.array([clips[index][3] for index in clip_of_row], np.int32),
        label_values=np.array([label for of_row in labels for label in of_row], np.int32),
        label_offsets=np.append(0, np.cumsum([len(of_row) for of_row in labels])),
        start_s=number * 0.5,
        end_s=number * 0.5 + 1.0,
        vectors=vectors,
    )
