"""Shows the evaluation in TensorBoard: scores, scores by class, precision-recall curves and confusions."""

from collections.abc import Sequence

import numpy as np
import tensorflow as tf
from etils import epath
from scipy import special

from components import tensorboard
from components.evaluator.evaluation import Evaluation
from components.evaluator.features import BOTH, UNTRAINED
from components.evaluator.probes.result import ProbeResult
from components.evaluator.summaries import classes, confusion, pr_curves, scores


def write(evaluation: Evaluation, *, label_names: Sequence[str], directory: epath.Path) -> None:
    """Writes the scalars, texts, images and curves.

    Args:
        evaluation: What to show.
        label_names: Class names in index order.
        directory: Folder of the event files.
    """
    report, both = evaluation.report, evaluation.results[BOTH]
    by_class = _class_scores(evaluation, names=label_names)
    with tensorboard.writer(directory).as_default(step=0):
        for name, result in evaluation.results.items():
            tf.summary.scalar(f"probe/{name}/{report.metric}", result.score)
            for key in ("AUC", "d_prime"):
                if result.details.get(key) is not None:
                    tf.summary.scalar(f"probe/{name}/{key}", result.details[key])
        tf.summary.text("probe/table", scores.table(report))
        tf.summary.image("probe/scores", scores.bars(report))
        tf.summary.text("probe/class table", classes.table(by_class))
        tf.summary.image("probe/classes", classes.bars(by_class))
        if report.metric == "accuracy":
            counts = confusion.matrix(both.tested.label_values, both.predictions, classes=len(label_names))
            tf.summary.image("probe/confusion", confusion.image(counts, names=label_names))
            tf.summary.text("probe/confusion table", confusion.table(counts, names=label_names))
        targets = both.tested.targets(len(label_names))
        pr_curves.write(targets, _likelihoods(both, report.metric), names=label_names, best_first=by_class.best_first)


def write_note(note: str, *, directory: epath.Path) -> None:
    """Writes the reason why no probe ran."""
    with tensorboard.writer(directory).as_default(step=0):
        tf.summary.text("probe/note", note)


def _class_scores(evaluation: Evaluation, *, names: Sequence[str]) -> classes.ClassScores:
    results, counts = evaluation.results, evaluation.report.details["clips_by_class"]
    untrained = results.get(UNTRAINED + BOTH)
    return classes.ClassScores(
        metric="recall" if evaluation.report.metric == "accuracy" else "average precision",
        names=names,
        scores=results[BOTH].class_scores,
        untrained=None if untrained is None else untrained.class_scores,
        all_clips=counts["all"],
        test_clips=counts["tested"],
    )


def _likelihoods(result: ProbeResult, metric: str) -> np.ndarray:
    """Returns scores that are comparable over classes and clips, float (clips, classes).

    Logits of sigmoids are. Those of a softmax, which the linear probe has, become probabilities.
    """
    if metric != "accuracy":
        return result.logits
    return special.softmax(result.logits, axis=1)
