"""Executes the Evaluator: embeds the clips, probes the embeddings, blesses the model and writes the reports."""

import dataclasses
import json
from collections.abc import Mapping, Sequence

from etils import epath

from beam_jobs import examples
from components import base
from components.embedding_info import EmbeddingInfo
from components.errors import UserError
from components.evaluator import embeddings, summaries
from components.evaluator.blessing import Blessing, bless
from components.evaluator.clips import Clips, read_clips
from components.evaluator.config import EvaluatorConfig
from components.evaluator.embeddings import BOTH, UNTRAINED
from components.evaluator.probes import linear, mlp
from components.evaluator.probes.choice import Probe, choose_probe
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
        note: The reason why no probe ran, or None.
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
    info = examples.read_info(inputs["examples"])
    probe, note = choose_probe(config.probe, info=info)
    if probe is None:
        report = Report(note=note)
        summaries.write_note(note, directory=context.tensorboard_dir)
    else:
        report = _evaluate(config, probe, info=info, inputs=inputs, context=context)
    blessing = bless(report.scores, min_margin=config.min_margin, note=report.note)
    metrics_json = json.dumps(dataclasses.asdict(report), indent=2, allow_nan=False)
    (outputs["evaluation"] / "metrics.json").write_text(metrics_json)
    (outputs["blessing"] / "blessing.json").write_text(json.dumps(dataclasses.asdict(blessing), indent=2))
    return base.StageResult(
        summary=_summary(report, blessing), figures={**report.scores, "blessed": int(blessing.blessed)}
    )


def _evaluate(
    config: EvaluatorConfig,
    probe: Probe,
    *,
    info: examples.ExamplesInfo,
    inputs: Mapping[str, epath.Path],
    context: base.StageContext,
) -> Report:
    """Embeds all clips, probes every set of features and shows the results in TensorBoard."""
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
    _check_labels(probe, clips)
    results = _probe_all(
        config, probe, clips, encoders=tuple(embedding_info.dims), classes=len(info.label_names), context=context
    )
    summaries.write(
        clips, results, metric=_METRICS[probe], label_names=info.label_names, directory=context.tensorboard_dir
    )
    return Report(
        probe=probe,
        metric=_METRICS[probe],
        scores={name: result.score for name, result in results.items()},
        details={
            "classes": list(info.label_names),
            "clips": total,
            "windows": int(clips.subclip_counts.sum()),
            "dims": {name: int(values.shape[1]) for name, values in clips.features.items()},
            "by_class": {name: result.class_scores for name, result in results.items()},
            "probes": {name: result.details for name, result in results.items()},
        },
    )


def _check_labels(probe: Probe, clips: Clips) -> None:
    """Checks that the clips have the labels that the probe needs.

    Raises:
        UserError: They do not.
    """
    if probe == "linear":
        if any(len(labels) != 1 for labels in clips.labels):
            raise UserError(
                "evaluator.probe 'linear' needs exactly one label on every clip, and these examples have clips with "
                "more or none: set evaluator.probe=mlp."
            )
        return
    labeled_splits = {split for labels, split in zip(clips.labels, clips.splits, strict=True) if labels}
    for split in ("train", "eval"):
        if split not in labeled_splits:
            raise UserError(
                f"no clip of the split {split!r} has a label: label at least one, or set evaluator.probe=none."
            )


def _probe_all(
    config: EvaluatorConfig,
    probe: Probe,
    clips: Clips,
    *,
    encoders: Sequence[str],
    classes: int,
    context: base.StageContext,
) -> dict[str, ProbeResult]:
    """Probes every set of features.

    Args:
        config: The options of the probes.
        probe: Name of the probe.
        clips: The embedded clips.
        encoders: Names of the encoders' embeddings.
        classes: Number of classes.
        context: Shows the progress.

    Returns:
        Set of features -> result, in the order of `clips.features`.
    """
    results: dict[str, ProbeResult] = {}
    for name in clips.features:
        same = _same_features(name, encoders)
        results[name] = results[same] if same else _probe_one(config, probe, clips, name, classes=classes)
        score = round(results[name].score, 4)
        context.progress.update(len(results), total=len(clips.features), unit="probes", **{name: score})
    return results


def _same_features(name: str, encoders: Sequence[str]) -> str | None:
    """Returns the set of features that `name` repeats, if any: with one encoder, "both" is that encoder's embedding."""
    if len(encoders) > 1:
        return None
    encoder = encoders[0]
    return {BOTH: encoder, UNTRAINED + BOTH: UNTRAINED + encoder}.get(name)


def _probe_one(config: EvaluatorConfig, probe: Probe, clips: Clips, name: str, *, classes: int) -> ProbeResult:
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
        return report.note
    scores = ", ".join(f"{name} {score:.3f}" for name, score in report.scores.items() if UNTRAINED not in name)
    untrained = report.scores[UNTRAINED + BOTH]
    outcome = "blessed" if blessing.blessed else "NOT blessed"
    return f"{report.probe} probe {report.metric}: {scores}, untrained {untrained:.3f}; {outcome}"
