"""The statistics as TensorBoard shows them: a table, histograms, class balance, log-mel bands, and clips to hear."""

from collections.abc import Mapping

import numpy as np
from etils import epath

from beam_jobs import examples
from components import tensorboard

_FIGURES = (
    "clips", "unlabelled_clips", "seconds", "mean_seconds", "min_seconds", "max_seconds",
    "mean_level_dbfs", "max_peak_dbfs", "silent_clips", "clipped_clips",
)  # fmt: skip
_COLOURS = {"train": "tab:blue", "valid": "tab:orange", "eval": "tab:green"}


def write(document: Mapping, *, info: examples.ExamplesInfo, directory: epath.Path, players: int) -> None:
    """Writes the contents of a `statistics.json`, and some clips of each split, to event files in `directory`."""
    import tensorflow as tf

    splits = document["splits"]
    with tensorboard.writer(directory).as_default(step=0):
        rows = [[name, *(f"{split[name]:,}" for split in splits.values())] for name in _FIGURES]
        tf.summary.text("statistics", tensorboard.markdown_table(["", *splits], rows))
        tf.summary.image("durations", _histogram(splits, "duration_histogram", label="duration (s)"))
        tf.summary.image("levels", _histogram(splits, "level_histogram", label="RMS level (dBFS)"))
        tf.summary.image("log-mel bands", _bands(splits))
        if document["label_names"]:
            tf.summary.image("class balance", _balance(splits, names=document["label_names"]))
        for split in splits:
            _clips(info, split=split, count=players)


def _histogram(splits: Mapping, name: str, *, label: str) -> np.ndarray:
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


def _bands(splits: Mapping) -> np.ndarray:
    """Mean of each log-mel band, and a ribbon of one standard deviation."""
    fig = tensorboard.figure()
    axes = fig.add_subplot()
    for split, figures in splits.items():
        mean, deviation = np.array(figures["log_mel_mean"]), np.array(figures["log_mel_std"])
        bands = np.arange(mean.size)
        axes.plot(bands, mean, label=split, color=_COLOURS[split])
        axes.fill_between(bands, mean - deviation, mean + deviation, color=_COLOURS[split], alpha=0.12)
    axes.set(xlabel="mel band", ylabel="log energy, mean and standard deviation")
    axes.legend()
    return tensorboard.figure_image(fig)


def _balance(splits: Mapping, *, names: list[str]) -> np.ndarray:
    """Clips per class, the most frequent class first; named where that is legible."""
    counts = {split: np.array(figures["label_counts"]) for split, figures in splits.items()}
    order = np.argsort(-sum(counts.values()), kind="stable")
    fig = tensorboard.figure(width=10.0, height=5.0)
    axes = fig.add_subplot()
    bottom = np.zeros(order.size)
    for split, count in counts.items():
        axes.bar(np.arange(order.size), count[order], bottom=bottom, label=split, color=_COLOURS[split], width=0.9)
        bottom += count[order]
    if order.size <= 60:
        axes.set_xticks(np.arange(order.size), [names[i] for i in order], rotation=90, fontsize=8)
    axes.set(xlabel="class", ylabel="clips")
    axes.legend()
    return tensorboard.figure_image(fig)


def _clips(info: examples.ExamplesInfo, *, split: str, count: int) -> None:
    for i, example in enumerate(examples.dataset(info.directory, split).take(count).as_numpy_iterator()):
        labels = ", ".join(info.label_names[label] for label in example["labels"])
        title = f"{example['clip_id'].decode()} {labels}".strip()
        tensorboard.clip(f"{split}/{i:02d}", example["audio"], sample_rate=info.sample_rate, title=title)
