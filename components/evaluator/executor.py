"""Executes the Evaluator: embeds the clips, probes the embeddings, blesses the model and writes the reports."""

import dataclasses
import json
from collections.abc import Mapping, Sequence

import numpy as np
from absl import logging
from etils import epath

from beam_jobs import examples
from components import base
from components.embedding_info import EmbeddingInfo
from components.evaluator import embeddings, summaries
from components.evaluator.blessing import Blessing, bless
from components.evaluator.clips import Clips, read_clips
from components.evaluator.config import EvaluatorConfig
from components.evaluator.embeddings import BOTH, UNTRAINED
from components.evaluator.probes import choice, linear, mlp
from components.evaluator.probes.choice import Probe, ProbeChoice
from components.evaluator.probes.result import ProbeResult

_METRICS: Mapping[Probe, str] = {"linear": "accuracy", "mlp": "mAP"}


@dataclasses.dataclass(frozen=True, kw_only=True)
class Report:
    """The content of `metrics.json`.

    Attributes:
        probe: Name of the probe, or None if none ran.
        metric: What the scores are: "accuracy" or "mAP".
        scores: Set of features -> score.
        details: Other figures, as plain JSON values.
        note: The reason why no probe ran, or what the probe left out, or None.
    """

    probe: Probe | None = None
    metric: str | None = None
    scores: Mapping[str, float] = dataclasses.field(default_factory=dict)
    details: Mapping[str, object] = dataclasses.field(default_factory=dict)
    note: str | None = None


def execute(
    config: EvaluatorConfig,
    *,
    inputs: Mapping[str, epath.Path],
    outputs: Mapping[str, epath.Path],
    context: base.StageContext,
) -> base.StageResult:
    """Evaluates the model. `components.evaluator.Evaluator` describes the files that it writes."""
    chosen = choice.choose(config, inputs)
    if chosen.probe is None:
        report = Report(note=chosen.note)
        summaries.write_note(f"not probed: {chosen.note}", directory=context.tensorboard_dir)
    else:
        if chosen.left_out:
            logging.warning("the %s probe leaves out %s", chosen.probe, chosen.left_out)
        report = _evaluate(config, chosen, inputs=inputs, context=context)
    blessing = bless(report.scores, min_margin=config.min_margin, note=report.note, needs_score=chosen.needs_score)
    metrics_json = json.dumps(dataclasses.asdict(report), indent=2, allow_nan=False)
    (outputs["evaluation"] / "metrics.json").write_text(metrics_json)
    (outputs["blessing"] / "blessing.json").write_text(json.dumps(dataclasses.asdict(blessing), indent=2))
    return base.StageResult(
        summary=_summary(report, blessing), figures={**report.scores, "blessed": int(blessing.blessed)}
    )


def _evaluate(
    config: EvaluatorConfig, chosen: ProbeChoice, *, inputs: Mapping[str, epath.Path], context: base.StageContext
) -> Report:
    """Embeds all clips, probes every set of features and shows the results in TensorBoard."""
    info, metric = examples.read_info(inputs["examples"]), _METRICS[chosen.probe]
    total = sum(info.splits.values())
    if config.max_clips is not None:
        total = sum(min(count, config.max_clips) for count in info.splits.values())
    embedding_info = EmbeddingInfo.read(inputs["saved_model"])
    clips = embeddings.embed(
        read_clips(inputs["examples"], splits=info.splits, limit=config.max_clips),
        embeddings.load_embedder(inputs["model"], inputs["saved_model"]),
        crop=embedding_info.crop_samples,
        report_progress=lambda count: context.progress.update(count, total=total, unit="clips"),
    )
    results = _probe_all(
        config, chosen, clips, encoders=tuple(embedding_info.dims), classes=len(info.label_names), context=context
    )
    summaries.write(clips, results, metric=metric, label_names=info.label_names, directory=context.tensorboard_dir)
    return Report(
        probe=chosen.probe,
        metric=metric,
        scores={name: result.score for name, result in results.items()},
        details={
            "classes": list(info.label_names),
            "clips": total,
            "windows": int(clips.subclip_counts.sum()),
            "dims": {name: int(values.shape[1]) for name, values in clips.features.items()},
            "by_class": {name: result.class_scores for name, result in results.items()},
            "probes": {name: result.details for name, result in results.items()},
        },
        note=f"left out: {chosen.left_out}" if chosen.left_out else None,
    )


def _probe_all(
    config: EvaluatorConfig,
    chosen: ProbeChoice,
    clips: Clips,
    *,
    encoders: Sequence[str],
    classes: int,
    context: base.StageContext,
) -> dict[str, ProbeResult]:
    """Probes every set of features.

    Args:
        config: The options of the probes.
        chosen: The probe and the classes that it scores.
        clips: The embedded clips. Those that the probe cannot use are left out.
        encoders: Names of the encoders' embeddings.
        classes: Number of classes.
        context: Shows the progress.

    Returns:
        Set of features -> result, in the order of `clips.features`.
    """
    is_probed = _probed_clips(chosen, clips)
    probed = clips.take(is_probed, classes=chosen.classes)
    results: dict[str, ProbeResult] = {}
    for name in clips.features:
        same = _same_features(name, encoders)
        if same:
            results[name] = results[same]
        else:
            result = probe_one(config, chosen.probe, probed, name, classes=classes)
            results[name] = dataclasses.replace(result, predictions=_for_all_clips(result.predictions, is_probed))
        score = round(results[name].score, 4)
        context.progress.update(len(results), total=len(clips.features), unit="probes", **{name: score})
    return results


def _probed_clips(chosen: ProbeChoice, clips: Clips) -> np.ndarray:
    """Returns which clips the probe uses, bool (clips,): those with one of its classes alone, or all with a label."""
    if chosen.probe == "linear":
        return np.array([len(labels) == 1 and labels[0] in chosen.classes for labels in clips.labels])
    return np.array([bool(labels) for labels in clips.labels])


def _for_all_clips(predictions: np.ndarray | None, is_probed: np.ndarray) -> np.ndarray | None:
    """Returns predictions of the probed clips as predictions of all clips, with -1 for the others."""
    if predictions is None:
        return None
    for_all = np.full(len(is_probed), -1)
    for_all[is_probed] = predictions
    return for_all


def _same_features(name: str, encoders: Sequence[str]) -> str | None:
    """Returns the set of features that `name` repeats, if any: with one encoder, "both" is that encoder's embedding."""
    if len(encoders) > 1:
        return None
    encoder = encoders[0]
    return {BOTH: encoder, UNTRAINED + BOTH: UNTRAINED + encoder}.get(name)


def probe_one(config: EvaluatorConfig, probe: Probe, clips: Clips, name: str, *, classes: int) -> ProbeResult:
    """Probes one set of features with the settings of a config."""
    if probe == "linear":
        return linear.probe(clips, name, classes=classes, c_grid=config.linear_c)
    return mlp.probe(
        clips,
        name,
        classes=classes,
        hidden=config.mlp_hidden,
        epochs=config.mlp_epochs,
        patience=config.mlp_patience,
        batch_size=config.mlp_batch_size,
        learning_rate=config.mlp_learning_rate,
        seed=config.seed,
    )


def _summary(report: Report, blessing: Blessing) -> str:
    if report.probe is None:
        return f"not probed: {report.note}" + ("" if blessing.blessed else "; NOT blessed")
    scores = ", ".join(f"{name} {score:.3f}" for name, score in report.scores.items() if UNTRAINED not in name)
    untrained = report.scores[UNTRAINED + BOTH]
    outcome = "blessed" if blessing.blessed else "NOT blessed"
    left_out = f"; {report.note}" if report.note else ""
    return f"{report.probe} probe {report.metric}: {scores}, untrained {untrained:.3f}; {outcome}{left_out}"
