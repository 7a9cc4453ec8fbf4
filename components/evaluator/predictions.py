"""What the probe says of each test clip, in a Parquet file for whoever wants to look at single clips."""

import dataclasses

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from etils import epath

from beam_jobs import storage
from components.evaluator.clips import Clips

FILE = "predictions.parquet"


@dataclasses.dataclass(frozen=True, kw_only=True)
class Predictions:
    """The test clips.

    Attributes:
        clip_ids: str (clips,), as objects.
        splits: str (clips,), as objects.
        targets: bool (clips, classes).
        logits: float32 (clips, classes), of a probe that was not trained on the clip.
    """

    clip_ids: np.ndarray
    splits: np.ndarray
    targets: np.ndarray
    logits: np.ndarray


def write(folder: epath.PathLike, tested: Clips, logits: np.ndarray) -> None:
    """Writes the file.

    Args:
        folder: The evaluation.
        tested: The clips that a probe was tested on.
        logits: float (clips, classes).
    """
    classes = logits.shape[1]
    flat = pa.array(np.ascontiguousarray(logits, np.float32).reshape(-1))
    columns = {
        "clip_id": pa.array(tested.clip_ids, pa.string()),
        "split": pa.array(tested.splits.astype(object), pa.string()),
        "labels": pa.ListArray.from_arrays(
            pa.array(tested.label_offsets, pa.int32()), pa.array(tested.label_values, pa.int32())
        ),
        "logits": pa.FixedSizeListArray.from_arrays(flat, classes),
    }
    with (epath.Path(folder) / FILE).open("wb") as file:
        pq.write_table(pa.table(columns), file)


def read(folder: epath.PathLike) -> Predictions | None:
    """Reads the file, or returns None if nothing was probed."""
    path = epath.Path(folder) / FILE
    if not path.exists():
        return None
    with storage.open_binary(path) as file:
        table = pq.read_table(file, use_threads=False).combine_chunks()
    logits = table["logits"].chunk(0) if len(table) else pa.array([], table["logits"].type)
    classes = table["logits"].type.list_size
    targets = np.zeros((len(table), classes), bool)
    for row, labels in zip(targets, table["labels"].to_pylist(), strict=True):
        row[labels] = True
    return Predictions(
        clip_ids=table["clip_id"].to_numpy(),
        splits=table["split"].to_numpy(),
        targets=targets,
        logits=logits.flatten().to_numpy().reshape(len(table), classes),
    )
