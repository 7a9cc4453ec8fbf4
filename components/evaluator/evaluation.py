"""Probes all sets of features of a folder of embeddings, and says how sure their scores are."""

import dataclasses
from collections.abc import Mapping

import numpy as np

from beam_jobs.embedding.read import Embeddings
from components import base, text
from components.evaluator import copies
from components.evaluator.clips import Clips
from components.evaluator.config import EvaluatorConfig
from components.evaluator.features import BOTH, TRAINED, FeatureSet
from components.evaluator.preparation import Prepared, probed_clips
from components.evaluator.probes import bootstrap, linear, mlp, others
from components.evaluator.probes.bootstrap import Comparison, Metric
from components.evaluator.probes.choice import Probe
from components.evaluator.probes.others import Columns
from components.evaluator.probes.result import ProbeResult
from components.evaluator.report import Report

METRICS: Mapping[Probe, Metric] = {"linear": "accuracy", "mlp": "mAP"}


@dataclasses.dataclass(frozen=True, kw_only=True)
class Evaluation:
    """What the summaries show.

    Attributes:
        report: The content of `metrics.json`.
        results: Set of features -> result of its probe, with the scores of each test clip.
        comparable: The same, of probes that were trained and tested on the same clips, see `_comparable`.
    """

    report: Report
    results: Mapping[str, ProbeResult]
    comparable: Mapping[str, ProbeResult]

    def on_shared_clips(self, name: str, other: str) -> tuple[float, float]:
        """Returns the scores of two sets of features whose probes were trained and tested on the same clips."""
        metric = METRICS[self.report.probe]
        return bootstrap.scores_on_shared(self.comparable[name], self.comparable[other], metric=metric)


def evaluate(
    embeddings: Embeddings, prepared: Prepared, config: EvaluatorConfig, *, progress: base.Progress
) -> Evaluation:
    """Probes every set of features, and compares each with the baseline.

    Args:
        embeddings: The embeddings.
        prepared: What `prepare` returned for them. `prepared.choice.probe` must not be None.
        config: The settings.
        progress: Counts the sets, with the score of each.
    """
    metric = METRICS[prepared.choice.probe]
    total = sum(len(sets) for sets in prepared.sets.values())
    results: dict[str, ProbeResult] = {}
    columns: dict[str, Columns] = {}
    for embedder, sets in prepared.sets.items():
        first: dict[tuple[str, ...], FeatureSet] = {}
        for one in sets:
            first.setdefault(one.columns, one)
        different = list(first.values())
        probed = probe(embeddings, different, prepared, config)
        compared = others.score(
            embeddings,
            different,
            prepared.clips[embedder],
            chosen=probed_clips(prepared.choice, prepared.clips[embedder]),
            scored=prepared.choice.classes,
            classes=len(embeddings.info.label_names),
            metric=metric,
            by_fold=prepared.choice.by_fold,
            seed=config.seed,
        )
        for one in sets:  # An encoder that is alone is `both`, too.
            same = first[one.columns].name
            results[one.name], columns[one.name] = probed[same], compared[same]
            progress.update(len(results), total=total, unit="probes", **{one.name: round(results[one.name].score, 4)})
    comparable = _comparable(embeddings, prepared, config, results)
    report = _report(embeddings, prepared, config, results=results, comparable=comparable, columns=columns)
    return Evaluation(report=report, results=results, comparable=comparable)


def _comparable(
    embeddings: Embeddings, prepared: Prepared, config: EvaluatorConfig, results: Mapping[str, ProbeResult]
) -> dict[str, ProbeResult]:
    """Returns results that can be compared: of probes that were trained on equally many clips.

    Where the baseline has embedded a sample of the clips, the model is probed once more, on that sample.
    """
    clips = prepared.clips[TRAINED]
    embedder = next(
        (one for one, sets in prepared.sets.items() if prepared.baseline in {each.name for each in sets}),
        TRAINED,
    )
    sample = prepared.clips[embedder]
    if len(sample) == len(clips):
        return dict(results)
    known = set(sample.clip_ids.tolist())
    in_sample = np.fromiter((clip_id in known for clip_id in clips.clip_ids.tolist()), bool, len(clips))
    of_sample = dataclasses.replace(prepared, clips={**prepared.clips, TRAINED: clips.labeled_only_in(in_sample)})
    return {**results, **probe(embeddings, prepared.sets[TRAINED], of_sample, config)}


def probe(
    embeddings: Embeddings, sets: list[FeatureSet], prepared: Prepared, config: EvaluatorConfig
) -> dict[str, ProbeResult]:
    """Probes sets of features.

    Args:
        embeddings: The embeddings.
        sets: The sets of features, at least one, and all of one embedder.
        prepared: See `evaluate`.
        config: The settings.

    Returns:
        Name of the set -> result.
    """
    clips, scored = prepared.clips[sets[0].embedder], prepared.choice.classes
    classes = len(embeddings.info.label_names)
    if prepared.choice.probe == "linear":
        return linear.probe_all(embeddings, sets, clips, scored=scored, classes=classes, c_grid=config.linear_c)
    return mlp.probe(
        embeddings, sets, clips, scored=scored, classes=classes, by_fold=prepared.choice.by_fold, config=config
    )


def _report(
    embeddings: Embeddings,
    prepared: Prepared,
    config: EvaluatorConfig,
    *,
    results: Mapping[str, ProbeResult],
    comparable: Mapping[str, ProbeResult],
    columns: Mapping[str, Columns],
) -> Report:
    info, metric = embeddings.info, METRICS[prepared.choice.probe]
    clips = prepared.clips[TRAINED]
    compared: dict[str, Comparison] = {}
    if prepared.baseline is not None:
        compared = bootstrap.compare(comparable, baseline=prepared.baseline, metric=metric, seed=config.seed)
    return Report(
        probe=prepared.choice.probe,
        metric=metric,
        scores={name: result.score for name, result in results.items()},
        intervals=bootstrap.intervals(results, metric=metric, seed=config.seed),
        comparison=compared,
        knn={name: one.knn for name, one in columns.items()},
        few_shot={name: one.few_shot for name, one in columns.items()},
        retrieval={name: one.retrieval for name, one in columns.items() if one.retrieval},
        details={
            "classes": list(info.label_names),
            "clips": len(clips),
            "windows": int(clips.rows.sum()),
            "clips_by_embedder": {embedder: len(of_one) for embedder, of_one in prepared.clips.items()},
            "clips_by_class": _class_counts(results[BOTH].tested, clips, classes=len(info.label_names)),
            "dims": {
                one.name: sum(info.embedders[one.embedder].dims[column] for column in one.columns)
                for sets in prepared.sets.values()
                for one in sets
            },
            "by_class": {name: result.class_scores for name, result in results.items()},
            "probes": {name: result.details for name, result in results.items()},
        },
        note=_note(prepared),
    )


def _class_counts(tested: Clips, clips: Clips, *, classes: int) -> dict[str, list[int]]:
    """Returns the number of clips of each class: all of them, and those that are tested."""
    return {
        "all": np.bincount(clips.label_values, minlength=classes).tolist(),
        "tested": np.bincount(tested.label_values, minlength=classes).tolist(),
    }


def _note(prepared: Prepared) -> str | None:
    """Says what is not as a reader would expect."""
    parts, reference = [], prepared.clips[TRAINED]
    if prepared.choice.makes_folds:
        made = int(reference.folds.max())
        parts.append(f"{made} folds were made, each recording in one, as there are neither folds nor an eval split")
    if prepared.copies is not None:
        tested = np.where(probed_clips(prepared.choice, reference), reference.folds, 0)
        about_copies = copies.note(prepared.copies, tested, made=prepared.choice.makes_folds)
        parts += [about_copies] if about_copies else []
    if prepared.choice.left_out:
        parts.append(f"left out: {prepared.choice.left_out}")
    for embedder, of_one in prepared.clips.items():
        of_all = f"{len(of_one):,} of {text.plural(len(reference), 'clip')}"
        if embedder not in prepared.sets:
            parts.append(f"{embedder} left out, as its sample of {of_all} has too few labels to train and to test on")
        elif len(of_one) < len(reference):
            parts.append(f"{embedder} on a sample of {of_all}")
    return "; ".join(parts) or None
