"""The parity table: what each file for another runtime loses against the SavedModel, and what it gains."""

import dataclasses
import json
from collections.abc import Sequence

import numpy as np
from etils import epath

from components import markdown, ridge_probe
from components.exporter.runtimes import checks, variants
from components.exporter.runtimes.sample import Sample


@dataclasses.dataclass(frozen=True, kw_only=True)
class Row:
    """A line of the table.

    Attributes:
        name: Name of the file's variant, or "saved_model".
        megabytes: Size of the file, or of the SavedModel without the other files.
        ms_per_window: Median processor time of a window alone, i.e. its time on one core.
        mean_cosine: Between the embeddings and those of the SavedModel, over all windows.
        lowest_cosine: The lowest one.
        probe_score: Of a linear probe on the embeddings, from 0 to 1; None without labels.
        probe_points_lost: The SavedModel's probe score minus this one, in points; None without labels.
    """

    name: str
    megabytes: float
    ms_per_window: float
    mean_cosine: float
    lowest_cosine: float
    probe_score: float | None
    probe_points_lost: float | None


def row(name: str, embedding: np.ndarray, *, reference: np.ndarray, sample: Sample, size_bytes: int, ms: float) -> Row:
    """Compares embeddings with those of the SavedModel.

    Args:
        name: See `Row`.
        embedding: float32 (windows, dim).
        reference: The SavedModel's, the same shape.
        sample: The windows, and the labels for the probe: `components.ridge_probe`, leaving one clip out at a time.
        size_bytes: Size of the file.
        ms: Median processor time of a window.
    """
    cosines = checks.cosines(embedding, reference)
    score, of_reference = _probe_score(embedding, sample), _probe_score(reference, sample)
    return Row(
        name=name,
        megabytes=size_bytes / 1e6,
        ms_per_window=ms,
        mean_cosine=float(cosines.mean()),
        lowest_cosine=float(cosines.min()),
        probe_score=score,
        probe_points_lost=None if score is None or of_reference is None else 100 * (of_reference - score),
    )


def write(rows: Sequence[Row], saved_model: epath.Path, *, sample: Sample) -> None:
    """Writes the table and its figures into the SavedModel's folder."""
    content = {"windows": len(sample.windows), "rows": [dataclasses.asdict(each) for each in rows]}
    (saved_model / variants.FIGURES).write_text(json.dumps(content, indent=2))
    (saved_model / variants.TABLE).write_text(
        "# Files for other runtimes\n\n"
        f"{to_markdown(rows)}\n\n"
        f"The same {len(sample.windows):,} windows of the examples, one at a time, compared with the SavedModel. The "
        "probe is a linear one on these windows; the numbers for a test set are those of `diptych evaluate`.\n"
    )


def to_markdown(rows: Sequence[Row]) -> str:
    """Returns the table."""
    header = ("file", "cosine, mean", "cosine, lowest", "probe points lost", "MB", "ms a window, one core")
    return markdown.table(header, [_cells(each) for each in rows])


def _cells(each: Row) -> tuple[str, ...]:
    lost = "no labels" if each.probe_points_lost is None else f"{round(each.probe_points_lost, 1) + 0.0:.1f}"
    return (
        each.name,
        f"{each.mean_cosine:.5f}",
        f"{each.lowest_cosine:.5f}",
        lost,
        f"{each.megabytes:.2f}",
        f"{each.ms_per_window:.1f}",
    )


def _probe_score(embedding: np.ndarray, sample: Sample) -> float | None:
    labeled = sample.targets.any(axis=1)
    if not labeled.any() or not np.isfinite(embedding).all():
        return None
    return ridge_probe.score(embedding[labeled], sample.targets[labeled])[1]
