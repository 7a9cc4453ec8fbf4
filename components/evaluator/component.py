"""Evaluator: probes the exported embedding against the untrained encoders and a classical baseline."""

import json
from collections.abc import Mapping
from typing import Any, ClassVar, Literal

import pydantic
from etils import epath

from components import base
from components.errors import UserError

_METRICS = {"linear": "accuracy", "mlp": "mAP"}


class EvaluatorConfig(base.StageConfig):
    """How the embedding is probed, and what it takes to be blessed."""

    probe: Literal["auto", "linear", "mlp", "none"] = pydantic.Field(
        "auto",
        description="linear: softmax regression over the official folds, accuracy (ESC-50); mlp: a hidden layer and "
        "sigmoids, mAP on the eval split (AudioSet); auto: linear if there are folds, else mlp; none: no probe.",
    )
    min_margin: float = pydantic.Field(
        0.0,
        ge=0,
        le=1,
        description="Blessed if it beats the untrained encoders and MFCCs by more than this.",
    )
    linear_c: tuple[float, ...] = pydantic.Field(
        (0.01, 0.03, 0.1, 0.3, 1.0, 3.0, 10.0),
        min_length=1,
        description="Inverse regularisation strengths of the linear probe, chosen among on fold 1.",
    )
    mlp_hidden: int = pydantic.Field(512, ge=1, description="Hidden units of the mlp probe (paper: 512).")
    mlp_epochs: int = pydantic.Field(40, ge=1, description="Most epochs of the mlp probe.")
    mlp_patience: int = pydantic.Field(
        10, ge=1, description="Epochs without a better validation mAP before it stops, if 200 validate."
    )
    mlp_batch_size: int = pydantic.Field(256, ge=1, description="Sub-clips in a training step of the mlp probe.")
    mlp_learning_rate: float = pydantic.Field(1e-3, gt=0, description="Adam's, for the mlp probe.")
    max_clips: int | None = pydantic.Field(None, ge=1, description="Most clips of each split to embed; null for all.")
    seed: int = pydantic.Field(0, ge=0, description="Fixes the mlp probe's weights and order.")

    @pydantic.field_validator("linear_c")
    @classmethod
    def _positive(cls, values: tuple[float, ...]) -> tuple[float, ...]:
        if min(values) <= 0:
            raise ValueError("every strength must be above 0")
        return values


class Evaluator(base.Component):
    """Embeds every clip through the SavedModel's `windows` signature and probes what comes out.

    Writes `metrics.json` (`probe`, `metric`, `scores` by set of features, `details`, `note`) and `blessing.json`
    (`blessed`, `reasons`). The sets are each encoder's embedding, `both` (all of them concatenated), the same of the
    untrained encoders under `untrained/`, and `mfcc_mean_std`.
    """

    inputs: ClassVar[Mapping[str, base.ArtifactType]] = {
        "examples": base.ArtifactType.EXAMPLES,
        "model": base.ArtifactType.MODEL,
        "saved_model": base.ArtifactType.MODEL,
    }
    outputs: ClassVar[Mapping[str, base.ArtifactType]] = {
        "evaluation": base.ArtifactType.MODEL_EVALUATION,
        "blessing": base.ArtifactType.MODEL_BLESSING,
    }
    Config = EvaluatorConfig
    code: ClassVar[tuple[str, ...]] = ("models", "beam_jobs.examples", "components.metrics")

    def execute(
        self,
        *,
        inputs: Mapping[str, epath.Path],
        outputs: Mapping[str, epath.Path],
        context: base.StageContext,
    ) -> base.StageResult:
        from beam_jobs import examples

        info = examples.read_info(inputs["examples"])
        probe, note = choose_probe(self.config.probe, info=info)
        report = {"probe": probe, "metric": _METRICS.get(probe), "scores": {}, "details": {}, "note": note}
        if probe:
            report |= self._evaluate(probe, info=info, inputs=inputs, context=context)
        else:
            _write_note(note, context=context)
        verdict = bless(report["scores"], min_margin=self.config.min_margin, note=note)
        (outputs["evaluation"] / "metrics.json").write_text(json.dumps(report, indent=2, allow_nan=False))
        (outputs["blessing"] / "blessing.json").write_text(json.dumps(verdict, indent=2))
        return base.StageResult(
            summary=_summary(report, verdict), figures={**report["scores"], "blessed": int(verdict["blessed"])}
        )

    def _evaluate(
        self, probe: str, *, info: Any, inputs: Mapping[str, epath.Path], context: base.StageContext
    ) -> dict[str, Any]:
        from components.evaluator import embeddings, summaries

        limit = self.config.max_clips
        total = sum(count if limit is None else min(count, limit) for count in info.splits.values())
        model_info = json.loads((inputs["saved_model"] / base.EMBEDDING_INFO).read_text())
        clips = embeddings.embed(
            embeddings.read_clips(inputs["examples"], splits=info.splits, limit=limit),
            embeddings.embedders(inputs["model"], inputs["saved_model"]),
            crop=model_info["crop_samples"],
            done=lambda count: context.progress.update(count, total=total, unit="clips"),
        )
        results = self._probe(probe, clips, label_names=info.label_names, context=context)
        metric = _METRICS[probe]
        summaries.write(clips, results, metric=metric, label_names=info.label_names, directory=context.tensorboard_dir)
        return {
            "scores": {name: result.score for name, result in results.items()},
            "details": {
                "classes": list(info.label_names),
                "clips": total,
                "windows": int(clips.window_counts.sum()),
                "dims": {name: int(values.shape[1]) for name, values in clips.features.items()},
                "by_class": {name: result.class_scores for name, result in results.items()},
                "probes": {name: result.details for name, result in results.items()},
            },
        }

    def _probe(self, probe: str, clips: Any, *, label_names: tuple[str, ...], context: base.StageContext) -> dict:
        from components.evaluator import embeddings, probes

        config, classes, results = self.config, len(label_names), {}
        if probe == "linear" and any(len(labels) != 1 for labels in clips.labels):
            raise UserError(
                "evaluator.probe 'linear' needs exactly one label on every clip, and these examples have clips with "
                "more or none: set evaluator.probe=mlp."
            )
        for split in ("train", "eval") if probe == "mlp" else ():
            if not any(labels for labels, of in zip(clips.labels, clips.splits, strict=True) if of == split):
                raise UserError(f"no clip of the split {split!r} has a label: label some, or set evaluator.probe=none.")
        for name in clips.features:
            single = name.removesuffix(embeddings.BOTH) + _only_format(clips)
            if name.endswith(embeddings.BOTH) and single in results:
                results[name] = results[single]  # one format in both branches: nothing to concatenate
            elif probe == "linear":
                results[name] = probes.linear(clips, name, classes=classes, c_grid=config.linear_c)
            else:
                results[name] = probes.mlp(
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
            score = round(results[name].score, 4)
            context.progress.update(len(results), total=len(clips.features), unit="probes", **{name: score})
        return results


def choose_probe(wanted: str, *, info: Any) -> tuple[str | None, str | None]:
    """Which probe the examples allow; None with a note why, if none.

    Args:
        wanted: The config's `probe`.
        info: `beam_jobs.examples.ExamplesInfo`.

    Raises:
        UserError: if the probe asked for by name cannot be run.
    """
    trains, tests = "train" in info.splits, "eval" in info.splits
    if wanted == "linear" and not info.has_folds:
        raise UserError("evaluator.probe is 'linear', but these examples have no folds: set it to 'mlp' or 'auto'.")
    if wanted == "mlp" and not (trains and tests and info.label_names):
        raise UserError(
            "evaluator.probe is 'mlp', which needs labelled clips in the splits train and eval, and these examples "
            "lack them: set it to 'auto'."
        )
    if wanted == "none":
        return None, "evaluator.probe is 'none', so the embedding was not probed"
    if wanted != "auto":
        return wanted, None
    if not info.label_names:
        return None, "the examples have no labels, so the embedding was not probed"
    if info.has_folds:
        return "linear", None
    if trains and tests:
        return "mlp", None
    return None, "the examples have no folds and not both of the splits train and eval, so nothing could be probed"


def bless(scores: Mapping[str, float], *, min_margin: float, note: str | None = None) -> dict[str, Any]:
    """Blesses the embedding if it beats its own untrained encoders and MFCCs by more than `min_margin`.

    Without scores (`note` says why) it is blessed: only the InfraValidator can then object.
    """
    if not scores:
        return {"blessed": True, "reasons": [note or "not probed"]}
    ours, reasons = scores["both"], []
    for rival in ("untrained/both", "mfcc_mean_std"):
        if ours - scores[rival] <= min_margin:
            margin = f" by more than {min_margin:.3f}" if min_margin else ""
            reasons.append(f"its score {ours:.3f} does not beat {rival}'s {scores[rival]:.3f}{margin}")
    return {"blessed": not reasons, "reasons": reasons}


def _only_format(clips: Any) -> str:
    """The one format of both branches, or "" if there are two."""
    from components.evaluator import embeddings

    own = [name for name in clips.features if "/" not in name and name not in (embeddings.BOTH, embeddings.MFCC)]
    return own[0] if len(own) == 1 else ""


def _summary(report: Mapping, verdict: Mapping) -> str:
    if not report["scores"]:
        return report["note"]
    scores = ", ".join(f"{name} {value:.3f}" for name, value in report["scores"].items() if "untrained/" not in name)
    outcome = "blessed" if verdict["blessed"] else "NOT blessed"
    untrained = report["scores"]["untrained/both"]
    return f"{report['probe']} probe {report['metric']}: {scores}, untrained {untrained:.3f}; {outcome}"


def _write_note(note: str, *, context: base.StageContext) -> None:
    import tensorflow as tf

    from components import tensorboard

    with tensorboard.writer(context.tensorboard_dir).as_default(step=0):
        tf.summary.text("probe/note", note)
