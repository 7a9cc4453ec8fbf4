"""What the Evaluator shows in TensorBoard: scores, classes, confusions and the embedding itself."""

from collections.abc import Mapping, Sequence

import numpy as np
import tensorflow as tf
from etils import epath

from components import tensorboard
from components.evaluator.embeddings import BOTH, MFCC, Clips
from components.evaluator.probes import ProbeResult

_PROJECTOR_CLIPS = 2000
_SHOWN_CLASSES = 60


def write(
    clips: Clips,
    results: Mapping[str, ProbeResult],
    *,
    metric: str,
    label_names: Sequence[str],
    directory: epath.Path,
) -> None:
    """Writes everything.

    Args:
        clips: The embedded clips.
        results: Set of features -> what its probe found.
        metric: "accuracy" or "mAP".
        label_names: Class names in index order.
        directory: Where the event files and the projector's files go.
    """
    with tensorboard.writer(directory).as_default(step=0):
        for name, result in results.items():
            tf.summary.scalar(f"probe/{name}/{metric}", result.score)
            for key in ("AUC", "d_prime"):
                if result.details.get(key) is not None:
                    tf.summary.scalar(f"probe/{name}/{key}", result.details[key])
        rows = [(name, f"{result.score:.4f}") for name, result in results.items()]
        tf.summary.text("probe/scores", tensorboard.markdown_table(("features", metric), rows))
        tf.summary.image("probe/scores", _bars(results, metric=metric))
        tf.summary.image("probe/classes", _classes(results, metric=metric, label_names=label_names))
        if results[BOTH].predictions is not None:
            tf.summary.image("probe/confusion", _confusion(clips, results[BOTH].predictions, label_names=label_names))
    write_projector(clips, label_names=label_names, directory=directory)


def write_projector(clips: Clips, *, label_names: Sequence[str], directory: epath.Path) -> None:
    """Writes the clips' embeddings and labels for TensorBoard's Projector tab: at most 2,000, evenly spaced."""
    shown = np.unique(np.linspace(0, len(clips.clip_ids) - 1, _PROJECTOR_CLIPS).astype(int))
    vectors = clips.clip_means(clips.features[BOTH])[shown]
    lines = ["label\tclip\tsplit"]
    for index in shown:
        label = " + ".join(label_names[k] for k in clips.labels[index]) or "none"
        lines.append("\t".join(text.replace("\t", " ") for text in (label, clips.clip_ids[index], clips.splits[index])))
    directory.mkdir(parents=True, exist_ok=True)
    (directory / "embedding.tsv").write_text("".join("\t".join(f"{v:.5g}" for v in row) + "\n" for row in vectors))
    (directory / "labels.tsv").write_text("\n".join(lines) + "\n")
    (directory / "projector_config.pbtxt").write_text(
        'embeddings {\n  tensor_name: "clips"\n  tensor_path: "embedding.tsv"\n  metadata_path: "labels.tsv"\n}\n'
    )


def _bars(results: Mapping[str, ProbeResult], *, metric: str) -> np.ndarray:
    fig = tensorboard.figure(width=7.0, height=0.6 + 0.45 * len(results))
    axes = fig.add_subplot()
    names = list(results)
    colours = ["tab:grey" if "untrained/" in name else "tab:olive" if name == MFCC else "tab:blue" for name in names]
    bars = axes.barh(names, [result.score for result in results.values()], color=colours)
    axes.bar_label(bars, fmt="%.3f", padding=3)
    axes.invert_yaxis()
    axes.set(xlim=(0, 1.1), xlabel=metric)
    return tensorboard.figure_image(fig)


def _classes(results: Mapping[str, ProbeResult], *, metric: str, label_names: Sequence[str]) -> np.ndarray:
    """Score per class, best first, with the untrained encoders' as dots; the classes with a test clip only."""
    scores, untrained = results[BOTH].class_scores, results[f"untrained/{BOTH}"].class_scores
    order = sorted((k for k, score in enumerate(scores) if score is not None), key=lambda k: -scores[k])
    if len(order) > _SHOWN_CLASSES:  # the best and the worst
        order = order[: _SHOWN_CLASSES // 2] + order[-_SHOWN_CLASSES // 2 :]
    fig = tensorboard.figure(width=7.0, height=1.0 + 0.2 * len(order))
    axes = fig.add_subplot()
    names = [label_names[k] for k in order]
    axes.barh(names, [scores[k] for k in order], color="tab:blue", label="trained")
    axes.plot([untrained[k] for k in order], names, "o", color="tab:grey", markersize=4, label="untrained")
    axes.invert_yaxis()
    axes.margins(y=0.01)
    axes.set(xlim=(0, 1), xlabel="recall" if metric == "accuracy" else "average precision")
    axes.legend(loc="lower right")
    return tensorboard.figure_image(fig)


def _confusion(clips: Clips, predictions: np.ndarray, *, label_names: Sequence[str]) -> np.ndarray:
    counts = np.zeros((len(label_names), len(label_names)))
    labels, tested = np.array([label for (label,) in clips.labels]), predictions >= 0
    np.add.at(counts, (labels[tested], predictions[tested]), 1)
    shares = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    size = 3.0 + 0.18 * len(label_names)
    fig = tensorboard.figure(width=size, height=size)
    axes = fig.add_subplot()
    axes.imshow(shares, cmap="magma", vmin=0, vmax=1)
    ticks = range(len(label_names))
    axes.set_xticks(ticks, label_names, rotation=90, fontsize=7)
    axes.set_yticks(ticks, label_names, fontsize=7)
    axes.set(xlabel="predicted", ylabel="true")
    return tensorboard.figure_image(fig)
