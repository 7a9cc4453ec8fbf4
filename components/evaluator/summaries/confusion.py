"""The confusions between classes, as a matrix and as a table of the most frequent ones."""

from collections.abc import Sequence

import numpy as np

from components import markdown, tensorboard

MOST_CLASSES = 100
"""With more classes, the matrix shows those of which the largest share is taken for others."""

MOST_ROWS = 50


def matrix(labels: np.ndarray, predictions: np.ndarray, *, classes: int) -> np.ndarray:
    """Counts the clips of each class by what they are taken for, int (classes, classes), true classes in rows.

    Args:
        labels: int (clips,).
        predictions: int (clips,).
        classes: Number of classes.
    """
    counts = np.zeros((classes, classes), int)
    np.add.at(counts, (labels, predictions), 1)
    return counts


def image(counts: np.ndarray, *, names: Sequence[str]) -> np.ndarray:
    """Draws a confusion matrix. Each row is normalized to the number of test clips of its class.

    Args:
        counts: See `matrix`.
        names: Name of each class.

    Returns:
        uint8 (1, height, width, 4).
    """
    shown = _most_confused(counts)
    part = counts[np.ix_(shown, shown)]
    shares = part / np.maximum(counts[shown].sum(axis=1, keepdims=True), 1)
    size = 3.0 + 0.18 * len(shown)
    fig = tensorboard.figure(width=size + 0.8, height=size)
    axes = fig.add_subplot()
    picture = axes.imshow(shares, cmap="magma", vmin=0, vmax=1)
    fig.colorbar(picture, ax=axes, label="share of the true class", fraction=0.04, pad=0.02)
    ticks, labels = range(len(shown)), [names[k] for k in shown]
    axes.set_xticks(ticks, labels, rotation=90, fontsize=7, parse_math=False)
    axes.set_yticks(ticks, labels, fontsize=7, parse_math=False)
    axes.set(xlabel="predicted", ylabel="true")
    if len(shown) < len(counts):
        axes.set_title(f"the {len(shown)} classes of {len(counts):,} that are confused most", fontsize=10)
    return tensorboard.figure_image(fig)


def table(counts: np.ndarray, *, names: Sequence[str]) -> str:
    """Returns a Markdown table of the most frequent confusions, or a sentence if there is none."""
    wrong = counts - np.diag(np.diag(counts))
    order = np.argsort(-wrong, axis=None, kind="stable")[:MOST_ROWS]
    rows = []
    for true, predicted in zip(*np.unravel_index(order, wrong.shape), strict=True):
        if wrong[true, predicted]:
            clips = f"{wrong[true, predicted]:,} of {counts[true].sum():,}"
            rows.append((markdown.escaped(names[true]), markdown.escaped(names[predicted]), clips))
    return markdown.table(("class", "taken for", "clips"), rows) if rows else "No clip is taken for another class."


def _most_confused(counts: np.ndarray) -> np.ndarray:
    """Returns the classes to show, ascending."""
    if len(counts) <= MOST_CLASSES:
        return np.arange(len(counts))
    totals = counts.sum(axis=1)
    wrong_share = 1 - np.diag(counts) / np.maximum(totals, 1)
    wrong_share[totals == 0] = -1
    return np.sort(np.argsort(-wrong_share, kind="stable")[:MOST_CLASSES])
