"""What was embedded, how long the vectors are, and over how many directions they spread."""

from collections.abc import Iterator, Mapping

import numpy as np
import tensorflow as tf

from beam_jobs.embedding.read import Embeddings
from components import tensorboard

_SAMPLE_ROWS = 512
_MOST_OF_THE_VARIANCE = 0.9


def write(embeddings: Embeddings) -> None:
    """Writes the table of the embedders, and the norms and the variances of some of their vectors."""
    norms, shares = {}, {}
    for label, vectors in _samples(embeddings):
        norms[label] = np.linalg.norm(vectors, axis=1)
        shares[label] = _variance_shares(vectors)
    tf.summary.text("embedders", _table(embeddings))
    tf.summary.image("norms", _norms(norms))
    tf.summary.image("explained variance", _variances(shares))


def _table(embeddings: Embeddings) -> str:
    header = ("embedder", "clips", "rows", "dimensions", "window, s", "hop, s", "sample rate, Hz")
    rows = []
    for name, embedder in embeddings.info.embedders.items():
        framing = embedder.framing
        cells = (
            name,
            f"{sum(embedder.clips.values()):,} of {sum(embeddings.info.splits.values()):,}",
            f"{sum(sum(files.values()) for files in embedder.files.values()):,}",
            ", ".join(f"{column} {dim:,}" for column, dim in embedder.dims.items()),
            f"{framing.window_samples / framing.sample_rate:g}",
            f"{framing.hop_samples / framing.sample_rate:g}",
            f"{framing.sample_rate:,}",
        )
        rows.append(cells)
    return tensorboard.markdown_table(header, rows)


def _samples(embeddings: Embeddings) -> Iterator[tuple[str, np.ndarray]]:
    """Yields the name of each embedding of each embedder, and its first vectors, float32 (rows, dim).

    They are a fair sample, because a split of examples is in the order of a hash.
    """
    for embedder, described in embeddings.info.embedders.items():
        split = next(iter(described.files), None)
        if split is None:
            continue
        rows = next(embeddings.blocks(embedder, split, names=tuple(described.dims)))
        for name, vectors in rows.vectors.items():
            label = name if name == embedder else f"{embedder}/{name}"
            yield label, vectors[:_SAMPLE_ROWS].astype(np.float32)


def _variance_shares(vectors: np.ndarray) -> np.ndarray:
    """Returns the share of the variance that the first principal directions explain together, (directions,)."""
    variances = np.linalg.svd(vectors - vectors.mean(axis=0), compute_uv=False).astype(np.float64) ** 2
    total = variances.sum()
    return variances.cumsum() / total if total else np.ones(len(variances))


def _norms(norms: Mapping[str, np.ndarray]) -> np.ndarray:
    """Draws how the lengths of the vectors are distributed, as shares of their mean, one line for each embedding."""
    fig = tensorboard.figure(width=8.0, height=5.0)
    axes = fig.add_subplot()
    for label, lengths in norms.items():
        mean = lengths.mean() or 1.0
        axes.hist(lengths / mean, bins=40, histtype="step", label=f"{label} (mean {mean:.3g})")
    axes.set(xlabel="norm, as a share of the mean", ylabel="rows")
    axes.legend()
    return tensorboard.figure_image(fig)


def _variances(shares: Mapping[str, np.ndarray]) -> np.ndarray:
    """Draws the variance that the first directions explain, one line for each embedding."""
    fig = tensorboard.figure(width=8.0, height=5.0)
    axes = fig.add_subplot()
    for label, explained in shares.items():
        directions = np.arange(1, len(explained) + 1)
        needed = 1 + int(np.searchsorted(explained, _MOST_OF_THE_VARIANCE))
        axes.plot(directions, explained, marker=".", label=f"{label} ({needed} for {_MOST_OF_THE_VARIANCE:.0%})")
    axes.set(xscale="log", ylim=(0, 1.02), xlabel="principal directions", ylabel="share of the variance")
    axes.legend(loc="lower right")
    return tensorboard.figure_image(fig)
