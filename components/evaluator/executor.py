"""Executes the Evaluator: probes the embeddings, blesses the model and writes the reports."""

import dataclasses
import json
from collections.abc import Mapping, Sequence

from absl import logging
from etils import epath

from beam_jobs.embedding.read import Embeddings
from components import base
from components.evaluator import predictions, summaries
from components.evaluator.blessing import BASELINES, Blessing, bless
from components.evaluator.config import EvaluatorConfig
from components.evaluator.evaluation import Evaluation, evaluate
from components.evaluator.features import BOTH, UNTRAINED
from components.evaluator.preparation import prepare
from components.evaluator.report import Report


def execute(
    config: EvaluatorConfig,
    *,
    inputs: Mapping[str, epath.Path],
    outputs: Mapping[str, epath.Path],
    context: base.StageContext,
) -> base.StageResult:
    """Evaluates the model. `components.evaluator.Evaluator` describes the files that it writes.

    Raises:
        UserError: The labels do not allow the probe that the config names, or the baseline is not among the embeddings.
    """
    embeddings = Embeddings(inputs["embeddings"])
    prepared = prepare(embeddings, config)
    chosen = prepared.choice
    if chosen.probe is None:
        report, pairs = Report(note=chosen.note), {}
        summaries.write_note(f"not probed: {chosen.note}", directory=context.tensorboard_dir)
    else:
        if chosen.left_out:
            logging.warning("the %s probe leaves out %s", chosen.probe, chosen.left_out)
        evaluation = evaluate(embeddings, prepared, config, progress=context.progress)
        report, pairs = evaluation.report, _pairs(evaluation)
        whole = evaluation.results[BOTH]
        predictions.write(outputs["evaluation"], whole.tested, whole.logits)
        summaries.write(evaluation, label_names=embeddings.info.label_names, directory=context.tensorboard_dir)
    blessing = bless(pairs, min_margin=config.min_margin, note=chosen.note, needs_score=chosen.needs_score)
    metrics_json = json.dumps(dataclasses.asdict(report), indent=2, allow_nan=False)
    (outputs["evaluation"] / "metrics.json").write_text(metrics_json)
    (outputs["blessing"] / "blessing.json").write_text(json.dumps(dataclasses.asdict(blessing), indent=2))
    return base.StageResult(
        summary=_summary(report, blessing, compared=list(pairs)),
        figures={**report.scores, "blessed": int(blessing.blessed)},
    )


def _pairs(evaluation: Evaluation) -> dict[str, tuple[float, float]]:
    """Returns the scores of the embedding and of each baseline that it has to beat, see `bless`."""
    return {name: evaluation.on_shared_clips(BOTH, name) for name in BASELINES if name in evaluation.results}


def _summary(report: Report, blessing: Blessing, *, compared: Sequence[str]) -> str:
    """Says what was found, without the word for the Pusher: `diptych evaluate` pushes nothing."""
    if report.probe is None:
        return f"not probed: {report.note}"
    scores = ", ".join(f"{name} {score:.3f}" for name, score in report.scores.items() if UNTRAINED not in name)
    untrained = report.scores.get(UNTRAINED + BOTH)
    parts = [f"{scores}{'' if untrained is None else f', untrained {untrained:.3f}'}"]
    if compared:
        parts.append(f"better than {' and '.join(compared)}" if blessing.blessed else ", ".join(blessing.reasons))
    return f"{report.probe} probe {report.metric}: {'; '.join([*parts, *([report.note] if report.note else [])])}"
