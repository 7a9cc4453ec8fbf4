"""The statistics as pictures: histograms, log-mel bands, class balance and label co-occurrence."""

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np

from components import tensorboard

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_COLOURS = {"train": "tab:blue", "valid": "tab:orange", "eval": "tab:green"}
_LEGIBLE = 60
"""So many classes fit on one axis by name."""
_SHOWN = 25
"""Of more classes, so many are named at either end."""
_NAME_LENGTH = 32


def histogram(splits: Mapping, name: str, *, label: str) -> np.ndarray:
    """Shares of the clips of each split per bin, over the bins that any of them fills."""
    edges = np.array(next(iter(splits.values()))[name]["edges"])
    counts = {split: np.array(figures[name]["counts"]) for split, figures in splits.items()}
    filled = np.flatnonzero(sum(counts.values()))
    first, last = max(0, filled[0] - 2), min(edges.size - 1, filled[-1] + 3)
    fig = tensorboard.figure()
    axes = fig.add_subplot()
    for split, count in counts.items():
        share = count[first:last] / count.sum()
        axes.stairs(share, edges[first : last + 1], label=split, color=_COLOURS[split], linewidth=2)
    axes.set(xlabel=label, ylabel="share of clips")
    axes.legend()
    return tensorboard.figure_image(fig)


def bands(splits: Mapping) -> np.ndarray:
    """Mean of each log-mel band, and a ribbon of one standard deviation."""
    fig = tensorboard.figure()
    axes = fig.add_subplot()
    for split, figures in splits.items():
        mean, deviation = np.array(figures["log_mel_mean"]), np.array(figures["log_mel_std"])
        numbers = np.arange(mean.size)
        axes.plot(numbers, mean, label=split, color=_COLOURS[split])
        axes.fill_between(numbers, mean - deviation, mean + deviation, color=_COLOURS[split], alpha=0.12)
    axes.set(xlabel="mel band", ylabel="log energy, mean and standard deviation")
    axes.legend()
    return tensorboard.figure_image(fig)


def balance(splits: Mapping, *, names: Sequence[str]) -> np.ndarray:
    """Clips per class, the most frequent class first: all by name, or of many classes those at either end."""
    counts = {split: np.array(figures["label_counts"]) for split, figures in splits.items()}
    order = np.argsort(-sum(counts.values()), kind="stable")
    if order.size <= _LEGIBLE:
        fig = tensorboard.figure(width=10.0, height=5.0)
        axes = fig.add_subplot()
        bottom = np.zeros(order.size)
        for split, count in counts.items():
            axes.bar(np.arange(order.size), count[order], bottom=bottom, label=split, color=_COLOURS[split], width=0.9)
            bottom += count[order]
        shown = [_short(names[i]) for i in order]
        axes.set_xticks(np.arange(order.size), shown, rotation=90, fontsize=8, parse_math=False)
        axes.set(ylabel="clips")
        axes.legend()
        return tensorboard.figure_image(fig)
    fig = tensorboard.figure(width=13.0, height=9.0)
    axes = fig.subplot_mosaic([["all", "all"], ["most", "least"]], height_ratios=(2, 3))
    for split, count in counts.items():
        ranked = np.sort(count[count > 0])[::-1]
        axes["all"].plot(np.arange(1, ranked.size + 1), ranked, label=split, color=_COLOURS[split])
    axes["all"].set(xlabel="rank of the class in its split", ylabel="clips", yscale="log", title=_absent(counts))
    axes["all"].legend()
    _bars(axes["most"], counts, order[:_SHOWN], names=names, title=f"the {_SHOWN} most frequent classes")
    _bars(axes["least"], counts, order[-_SHOWN:], names=names, title=f"the {_SHOWN} least frequent classes")
    return tensorboard.figure_image(fig)


def pairs_of(splits: Mapping) -> Counter[tuple[int, int]]:
    """(class, other class) -> clips of all splits that have both."""
    pairs: Counter[tuple[int, int]] = Counter()
    for figures in splits.values():
        for i, j, count in figures["label_pairs"]:
            pairs[i, j] += count
    return pairs


def co_occurrence(splits: Mapping, *, names: Sequence[str]) -> np.ndarray:
    """Of the clips of each class (row), the share that has another one, too: the classes that occur in most pairs."""
    pairs = pairs_of(splits)
    occurrences: Counter[int] = Counter()
    for (i, j), count in pairs.items():
        occurrences[i] += count
        occurrences[j] += count
    shown = [label for label, _ in sorted(occurrences.items(), key=lambda item: (-item[1], item[0]))[:_SHOWN]]
    counts = sum(np.array(figures["label_counts"]) for figures in splits.values())
    share = np.array([[pairs[min(i, j), max(i, j)] / counts[i] if i != j else math.nan for j in shown] for i in shown])
    side = 4.0 + 0.26 * len(shown)
    fig = tensorboard.figure(width=side + 2.5, height=side)
    axes = fig.add_subplot()
    picture = axes.imshow(share, cmap="viridis", vmin=0.0)
    axes.set_facecolor("lightgrey")
    shorts = [_short(names[i]) for i in shown]
    axes.set_xticks(np.arange(len(shown)), shorts, rotation=90, fontsize=8, parse_math=False)
    axes.set_yticks(np.arange(len(shown)), shorts, fontsize=8, parse_math=False)
    axes.set(xlabel="also has", ylabel="of the clips with")
    fig.colorbar(picture, ax=axes, label="share", fraction=0.046)
    return tensorboard.figure_image(fig)


def _bars(
    axes: "Axes", counts: Mapping[str, np.ndarray], labels: np.ndarray, *, names: Sequence[str], title: str
) -> None:
    left = np.zeros(labels.size)
    for split, count in counts.items():
        axes.barh(np.arange(labels.size), count[labels], left=left, color=_COLOURS[split])
        left += count[labels]
    axes.set_yticks(np.arange(labels.size), [_short(names[i]) for i in labels], fontsize=8, parse_math=False)
    axes.invert_yaxis()
    axes.set(xlabel="clips", title=title)


def _absent(counts: Mapping[str, np.ndarray]) -> str:
    absent = ", ".join(f"{int(np.sum(count == 0)):,} of {split}" for split, count in counts.items())
    return f"{next(iter(counts.values())).size:,} classes; without a clip: {absent}"


def _short(name: str) -> str:
    return name if len(name) <= _NAME_LENGTH else f"{name[: _NAME_LENGTH - 1]}…"
