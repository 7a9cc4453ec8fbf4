"""Draws the statistics: histograms, log-mel bands, class balance and label co-occurrence."""

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Literal

import numpy as np
from matplotlib.axes import Axes

from beam_jobs.statistics.example_statistics import SplitStatistics
from components import tensorboard

_COLORS = {"train": "tab:blue", "valid": "tab:orange", "eval": "tab:green"}
_MAX_NAMED = 60
"""Largest number of classes whose names fit on one axis."""
_SHOWN = 25
"""Number of classes that are named at each end of a longer list."""
_NAME_LENGTH = 32

Splits = Mapping[str, SplitStatistics]


def histogram(
    splits: Splits, name: Literal["duration_histogram", "level_histogram", "peak_histogram"], *, label: str
) -> np.ndarray:
    """Draws the share of each split's clips per bin, over the range of bins that are not empty.

    Args:
        splits: Statistics by split.
        name: The histogram to draw.
        label: Name of the quantity, with its unit.

    Returns:
        uint8 (1, height, width, 4), as all functions of this module do.
    """
    edges = np.array(next(iter(splits.values()))[name]["edges"])
    counts = {split: np.array(statistics[name]["counts"]) for split, statistics in splits.items()}
    filled = np.flatnonzero(sum(counts.values()))
    first, last = max(0, filled[0] - 2), min(edges.size - 1, filled[-1] + 3)
    fig = tensorboard.figure()
    axes = fig.add_subplot()
    for split, count in counts.items():
        share = count[first:last] / count.sum()
        axes.stairs(share, edges[first : last + 1], label=split, color=_COLORS[split], linewidth=2)
    axes.set(xlabel=label, ylabel="share of clips")
    axes.legend()
    return tensorboard.figure_image(fig)


def bands(splits: Splits) -> np.ndarray:
    """Draws the mean of each log-mel band with a ribbon of one standard deviation."""
    fig = tensorboard.figure()
    axes = fig.add_subplot()
    for split, statistics in splits.items():
        mean, deviation = np.array(statistics["log_mel_mean"]), np.array(statistics["log_mel_std"])
        numbers = np.arange(mean.size)
        axes.plot(numbers, mean, label=split, color=_COLORS[split])
        axes.fill_between(numbers, mean - deviation, mean + deviation, color=_COLORS[split], alpha=0.12)
    axes.set(xlabel="mel band", ylabel="log energy, mean and standard deviation")
    axes.legend()
    return tensorboard.figure_image(fig)


def balance(splits: Splits, *, names: Sequence[str]) -> np.ndarray:
    """Draws the number of clips per class, most frequent class first.

    Up to 60 classes are all named. Of more classes, only the most and the least frequent ones are named.
    """
    counts = {split: np.array(statistics["label_counts"]) for split, statistics in splits.items()}
    order = np.argsort(-sum(counts.values()), kind="stable")
    if order.size <= _MAX_NAMED:
        return _balance_of_few(counts, order, names=names)
    return _balance_of_many(counts, order, names=names)


def label_pairs(splits: Splits) -> Counter[tuple[int, int]]:
    """Counts the clips of all splits that have both classes of a pair, by (class, class of a higher index)."""
    pairs: Counter[tuple[int, int]] = Counter()
    for statistics in splits.values():
        for first, second, clips in statistics["label_pairs"]:
            pairs[first, second] += clips
    return pairs


def co_occurrence(splits: Splits, *, names: Sequence[str]) -> np.ndarray:
    """Draws a matrix: the share of the clips of each class (row) that also have another class (column).

    It shows the classes that occur most often in pairs. A split may list only its most frequent pairs: the share of a
    pair is that in the splits that tell it, and gray where none does.
    """
    pairs = label_pairs(splits)
    occurrences: Counter[int] = Counter()
    for (first, second), clips in pairs.items():
        occurrences[first] += clips
        occurrences[second] += clips
    shown = [label for label, _ in sorted(occurrences.items(), key=lambda item: (-item[1], item[0]))[:_SHOWN]]
    shares = _shares(splits, shown)

    side = 4.0 + 0.26 * len(shown)
    fig = tensorboard.figure(width=side + 2.5, height=side)
    axes = fig.add_subplot()
    picture = axes.imshow(shares, cmap="viridis", vmin=0.0)
    axes.set_facecolor("lightgray")
    ticks, labels = np.arange(len(shown)), [_shortened(names[label]) for label in shown]
    axes.set_xticks(ticks, labels, rotation=90, fontsize=8, parse_math=False)
    axes.set_yticks(ticks, labels, fontsize=8, parse_math=False)
    axes.set(xlabel="also has", ylabel="of the clips with")
    fig.colorbar(picture, ax=axes, label="share", fraction=0.046)
    if not all(_lists_all_pairs(statistics) for statistics in splits.values()):
        axes.set_title("gray: the pair is not among the most frequent ones", fontsize=10)
    return tensorboard.figure_image(fig)


def _lists_all_pairs(statistics: SplitStatistics) -> bool:
    return len(statistics["label_pairs"]) == statistics["label_pairs_found"]


def _shares(splits: Splits, classes: Sequence[int]) -> np.ndarray:
    """Returns the matrix of `co_occurrence`, with NaN where no split tells a pair, and for a class with itself."""
    place = {label: index for index, label in enumerate(classes)}
    both, alone = np.zeros((2, len(classes), len(classes)))
    for statistics in splits.values():
        is_told = np.full(both.shape, _lists_all_pairs(statistics))
        for first, second, clips in statistics["label_pairs"]:
            if first in place and second in place:
                for cell in ((place[first], place[second]), (place[second], place[first])):
                    both[cell] += clips
                    is_told[cell] = True
        counts = np.array(statistics["label_counts"])[list(classes)]
        alone += np.where(is_told, counts[:, None], 0)
    np.fill_diagonal(alone, 0)
    return np.divide(both, alone, out=np.full(both.shape, math.nan), where=alone > 0)


def _balance_of_few(counts: Mapping[str, np.ndarray], order: np.ndarray, *, names: Sequence[str]) -> np.ndarray:
    fig = tensorboard.figure(width=10.0, height=5.0)
    axes = fig.add_subplot()
    ticks, bottom = np.arange(order.size), np.zeros(order.size)
    for split, count in counts.items():
        axes.bar(ticks, count[order], bottom=bottom, label=split, color=_COLORS[split], width=0.9)
        bottom += count[order]
    labels = [_shortened(names[label]) for label in order]
    axes.set_xticks(ticks, labels, rotation=90, fontsize=8, parse_math=False)
    axes.set(ylabel="clips")
    axes.legend()
    return tensorboard.figure_image(fig)


def _balance_of_many(counts: Mapping[str, np.ndarray], order: np.ndarray, *, names: Sequence[str]) -> np.ndarray:
    fig = tensorboard.figure(width=13.0, height=9.0)
    axes = fig.subplot_mosaic([["all", "all"], ["most", "least"]], height_ratios=(2, 3))
    for split, count in counts.items():
        ranked = np.sort(count[count > 0])[::-1]
        axes["all"].plot(np.arange(1, ranked.size + 1), ranked, label=split, color=_COLORS[split])
    absent = ", ".join(f"{int(np.sum(count == 0)):,} of {split}" for split, count in counts.items())
    title = f"{order.size:,} classes; without a clip: {absent}"
    axes["all"].set(xlabel="rank of the class in its split", ylabel="clips", yscale="log", title=title)
    axes["all"].legend()
    _bars(axes["most"], counts, order[:_SHOWN], names=names, title=f"the {_SHOWN} most frequent classes")
    _bars(axes["least"], counts, order[-_SHOWN:], names=names, title=f"the {_SHOWN} least frequent classes")
    return tensorboard.figure_image(fig)


def _bars(
    axes: Axes, counts: Mapping[str, np.ndarray], classes: np.ndarray, *, names: Sequence[str], title: str
) -> None:
    """Draws one bar per class, stacked by split."""
    ticks, left = np.arange(classes.size), np.zeros(classes.size)
    for split, count in counts.items():
        axes.barh(ticks, count[classes], left=left, color=_COLORS[split])
        left += count[classes]
    axes.set_yticks(ticks, [_shortened(names[label]) for label in classes], fontsize=8, parse_math=False)
    axes.invert_yaxis()
    axes.set(xlabel="clips", title=title)


def _shortened(name: str) -> str:
    return name if len(name) <= _NAME_LENGTH else f"{name[: _NAME_LENGTH - 1]}…"
