"""Takes what the page shows from what the stages have published."""

import dataclasses
import json
from collections.abc import Mapping, Sequence

import numpy as np
from etils import epath

from beam_jobs.embedding.read import Embeddings
from components.evaluator import predictions as stored_predictions
from components.evaluator.features import BOTH, TRAINED, FeatureSet, sets_by_embedder
from components.evaluator.predictions import Predictions
from pipeline.console.report import Report
from pipeline.evaluation.report import clips
from pipeline.evaluation.report.content import ClassRow, ClipRow, Content, ScoreRow
from pipeline.evaluation.robustness.curves import Curves

OTHER_METRICS = {"knn": "10-NN", "few_shot": "8-shot linear", "retrieval": "retrieval mAP"}
"""Other scores in `metrics.json` -> their names for people."""

_MOST_CONFUSION_CLASSES = 200


def gather(result: Report, *, model: str, data: str, curves: Curves | None) -> Content:
    """Returns the content of the page.

    Args:
        result: The report of the run.
        model: The evaluated model, as the user named it.
        data: The audio, as the user named it.
        curves: What perturbations do, if they were measured.
    """
    evaluation = folder(result, "Evaluator", "evaluation")
    metrics = json.loads((evaluation / "metrics.json").read_text())
    embeddings = Embeddings(folder(result, "Embedder", "embeddings"))
    scores = _score_rows(metrics, of_model=sets_by_embedder(embeddings.info.embedders)[TRAINED])
    predicted = stored_predictions.read(evaluation)
    test = _TestClips() if predicted is None else _test_clips(predicted, result, metrics, embeddings)
    return Content(
        model=model,
        data=data,
        verdict=_verdict(metrics, scores),
        facts=_facts(result, model=model, data=data, metrics=metrics),
        metric=metrics.get("metric") or "",
        other_metrics=tuple(OTHER_METRICS.values()),
        scores=scores,
        classes=test.classes,
        confusion=test.confusion,
        confusion_names=test.confusion_names,
        clips=test.clips,
        robustness=curves,
        notes=[f"{metrics['note'][0].upper()}{metrics['note'][1:]}."] if metrics.get("note") else [],
        tensorboard=result.tensorboard,
    )


@dataclasses.dataclass(frozen=True, kw_only=True)
class _TestClips:
    """The parts of `Content` that come from single test clips."""

    classes: Sequence[ClassRow] = ()
    confusion: np.ndarray | None = None
    confusion_names: Sequence[str] = ()
    clips: Sequence[ClipRow] = ()


def _test_clips(
    predicted: Predictions, result: Report, metrics: Mapping[str, object], embeddings: Embeddings
) -> _TestClips:
    label_names = embeddings.info.label_names
    is_single = metrics["metric"] == "accuracy"
    confusion, names = None, []
    if is_single:
        confusion, shown = confusion_matrix(predicted)
        names = [label_names[label] for label in shown]
    return _TestClips(
        classes=_class_rows(
            metrics, predicted, label_names, confused={} if confusion is None else _confused_with(confusion, names)
        ),
        confusion=confusion if len(names) <= _MOST_CONFUSION_CLASSES else None,
        confusion_names=names,
        clips=clips.rows(
            predicted,
            clips.hardest(predicted, is_single=is_single),
            directory=folder(result, "AudioExampleGen", "examples"),
            embeddings=embeddings,
            names=label_names,
            is_single=is_single,
        ),
    )


def folder(result: Report, stage: str, output: str) -> epath.Path:
    """Returns the folder that a stage of a run has published."""
    return next(epath.Path(row.outputs[output]) for row in result.stages if row.stage == stage)


def confusion_matrix(predicted: Predictions) -> tuple[np.ndarray, np.ndarray]:
    """Returns for what the clips of each class are taken.

    Returns:
        (n, n): the share of the clips of a row's class that are taken for a column's; and the classes that have test
        clips or are predicted, int (n,).
    """
    truth, taken = predicted.targets.argmax(axis=1), predicted.logits.argmax(axis=1)
    classes = predicted.targets.shape[1]
    counts = np.bincount(truth * classes + taken, minlength=classes * classes).reshape(classes, classes)
    shown = np.flatnonzero(counts.any(axis=0) | counts.any(axis=1))
    counts = counts[np.ix_(shown, shown)]
    return counts / np.maximum(counts.sum(axis=1, keepdims=True), 1), shown


def _score_rows(metrics: Mapping[str, object], *, of_model: Sequence[FeatureSet]) -> list[ScoreRow]:
    """Returns the rows of the model, the best one first, and then the others.

    An embedding that is alone is `both`, too, and has one row.
    """
    first_names = {features.columns: features.name for features in reversed(of_model)}
    repeated = {features.name for features in of_model}.difference(first_names.values())
    rows = []
    for name, score in metrics["scores"].items():
        if name not in repeated:
            low, high = metrics["intervals"].get(name, (None, None))
            others = tuple(metrics[key].get(name, {}).get("score") for key in OTHER_METRICS)
            is_model = name in first_names.values()
            rows.append(ScoreRow(name=name, score=score, low=low, high=high, others=others, is_model=is_model))
    return sorted(rows, key=lambda row: (not row.is_model, -row.score))


def _verdict(metrics: Mapping[str, object], scores: Sequence[ScoreRow]) -> str:
    if not scores:
        return f"Not probed: {metrics['note']}."
    whole = next((row for row in scores if row.name == BOTH), scores[0])
    verdict = f"{metrics['metric']} {whole.score:.3f}"
    if whole.low is not None:
        verdict += f" (95 % interval {whole.low:.3f} to {whole.high:.3f})"
    compared = metrics["comparison"].get(whole.name)
    if compared is None:
        return f"{verdict}."
    low, high = compared["interval"]
    return f"{verdict}; {compared['difference']:+.3f} against {compared['baseline']} ({low:+.3f} to {high:+.3f})."


def _facts(result: Report, *, model: str, data: str, metrics: Mapping[str, object]) -> dict[str, str]:
    facts = {"model": model, "data": data, "evaluated": result.started.replace("T", " ")}
    if metrics.get("probe"):
        facts["probe"] = f"{metrics['probe']}, {metrics['metric']}"
    return facts | {row.stage: row.summary for row in result.stages}


def _class_rows(
    metrics: Mapping[str, object], predicted: Predictions, names: Sequence[str], *, confused: Mapping[str, str]
) -> list[ClassRow]:
    rows = [
        ClassRow(name=name, clips=int(count), score=score, confused_with=confused.get(name, ""))
        for name, count, score in zip(
            names, predicted.targets.sum(axis=0), metrics["details"]["by_class"][BOTH], strict=True
        )
        if count
    ]
    return sorted(rows, key=lambda row: (row.score is None, row.score))


def _confused_with(confusion: np.ndarray, names: Sequence[str]) -> dict[str, str]:
    """Returns class -> the class that its clips are taken for most often, with the share."""
    others = confusion * (1 - np.eye(len(names)))
    confused = {}
    for name, row in zip(names, others, strict=True):
        if row.any():
            confused[name] = f"{names[int(row.argmax())]} ({100 * row.max():.0f} %)"
    return confused
