"""Shows the evaluation in TensorBoard: scores, scores by class, confusions and the embedding."""

from collections.abc import Mapping, Sequence

import numpy as np
import tensorflow as tf
from etils import epath

from components import tensorboard
from components.evaluator.evaluation import Evaluation
from components.evaluator.features import BOTH, MFCC, UNTRAINED
from components.evaluator.probes.result import ProbeResult

_SHOWN_CLASSES = 60


def write(evaluation: Evaluation, *, label_names: Sequence[str], directory: epath.Path) -> None:
    """Writes the scalars, texts and images, and the files of the projector.

    Args:
        evaluation: What to show.
        label_names: Class names in index order.
        directory: Folder of the event files and of the projector's files.
    """
    results, metric = evaluation.results, evaluation.report.metric
    with tensorboard.writer(directory).as_default(step=0):
        for name, result in results.items():
            tf.summary.scalar(f"probe/{name}/{metric}", result.score)
            for key in ("AUC", "d_prime"):
                if result.details.get(key) is not None:
                    tf.summary.scalar(f"probe/{name}/{key}", result.details[key])
        rows = [(name, f"{result.score:.4f}") for name, result in results.items()]
        tf.summary.text("probe/table", tensorboard.markdown_table(("features", metric), rows))
        tf.summary.image("probe/scores", _score_bars(results, metric=metric))
        tf.summary.image("probe/classes", _class_bars(results, metric=metric, label_names=label_names))
        if metric == "accuracy":
            tf.summary.image("probe/confusion", _confusion(results[BOTH], label_names=label_names))
    _write_projector(evaluation, label_names=label_names, directory=directory)


def write_note(note: str, *, directory: epath.Path) -> None:
    """Writes the reason why no probe ran."""
    with tensorboard.writer(directory).as_default(step=0):
        tf.summary.text("probe/note", note)


def _write_projector(evaluation: Evaluation, *, label_names: Sequence[str], directory: epath.Path) -> None:
    """Writes embeddings and labels of some clips for TensorBoard's Projector tab."""
    clips = evaluation.shown_clips
    vector_lines = ["\t".join(f"{value:.5g}" for value in vector) for vector in evaluation.shown_vectors]
    label_lines = ["label\tclip\tsplit"]
    for index in range(len(clips)):
        label = " + ".join(label_names[k] for k in clips.labels(index)) or "none"
        fields = (label, clips.clip_ids[index], clips.splits[index])
        label_lines.append("\t".join(field.replace("\t", " ") for field in fields))
    directory.mkdir(parents=True, exist_ok=True)
    (directory / "embedding.tsv").write_text("\n".join(vector_lines) + "\n")
    (directory / "labels.tsv").write_text("\n".join(label_lines) + "\n")
    (directory / "projector_config.pbtxt").write_text(
        'embeddings {\n  tensor_name: "clips"\n  tensor_path: "embedding.tsv"\n  metadata_path: "labels.tsv"\n}\n'
    )


def _score_bars(results: Mapping[str, ProbeResult], *, metric: str) -> np.ndarray:
    """Draws one bar for each set of features."""
    fig = tensorboard.figure(width=7.0, height=0.6 + 0.45 * len(results))
    axes = fig.add_subplot()
    names = list(results)
    bars = axes.barh(names, [result.score for result in results.values()], color=[_color(name) for name in names])
    axes.bar_label(bars, fmt="%.3f", padding=3)
    axes.invert_yaxis()
    axes.set(xlim=(0, 1.1), xlabel=metric)
    return tensorboard.figure_image(fig)


def _color(name: str) -> str:
    if name.startswith(UNTRAINED):
        return "tab:grey"
    if name == MFCC:
        return "tab:olive"
    return "tab:blue"


def _class_bars(results: Mapping[str, ProbeResult], *, metric: str, label_names: Sequence[str]) -> np.ndarray:
    """Draws the score of each class as a bar, best first, and the score of the untrained encoders as a dot.

    Classes without test clips are not drawn. If there are more than 60 others, only the 30 best and the 30 worst are.
    """
    scores = results[BOTH].class_scores
    tested = [k for k, score in enumerate(scores) if score is not None]
    order = sorted(tested, key=lambda k: -scores[k])
    if len(order) > _SHOWN_CLASSES:
        order = order[: _SHOWN_CLASSES // 2] + order[-_SHOWN_CLASSES // 2 :]
    fig = tensorboard.figure(width=7.0, height=1.0 + 0.2 * len(order))
    axes = fig.add_subplot()
    names = [label_names[k] for k in order]
    axes.barh(names, [scores[k] for k in order], color="tab:blue", label="trained")
    if UNTRAINED + BOTH in results:
        untrained_scores = results[UNTRAINED + BOTH].class_scores
        axes.plot([untrained_scores[k] for k in order], names, "o", color="tab:grey", markersize=4, label="untrained")
    axes.invert_yaxis()
    axes.margins(y=0.01)
    axes.set(xlim=(0, 1), xlabel="recall" if metric == "accuracy" else "average precision")
    axes.legend(loc="lower right")
    return tensorboard.figure_image(fig)


def _confusion(result: ProbeResult, *, label_names: Sequence[str]) -> np.ndarray:
    """Draws the confusion matrix. Each row is normalized to the number of test clips of its class."""
    counts = np.zeros((len(label_names), len(label_names)))
    np.add.at(counts, (result.tested.label_values, result.predictions), 1)
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
