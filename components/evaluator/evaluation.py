"""Probes all sets of features of a folder of embeddings, and says how sure their scores are."""

import dataclasses
from collections.abc import Mapping, Sequence

import numpy as np

from beam_jobs.embedding.read import Embeddings
from components import base, text
from components.errors import UserError
from components.evaluator import copies, folds
from components.evaluator.blessing import BASELINES
from components.evaluator.clips import Clips, count_labels, read_clips
from components.evaluator.config import EvaluatorConfig
from components.evaluator.features import BOTH, TRAINED, FeatureSet, sets_by_embedder
from components.evaluator.probes import bootstrap, linear, mlp, others
from components.evaluator.probes.bootstrap import Comparison, Metric
from components.evaluator.probes.choice import Probe, ProbeChoice, allows, choose_probe
from components.evaluator.probes.others import Columns
from components.evaluator.probes.result import ProbeResult
from components.evaluator.report import Report

METRICS: Mapping[Probe, Metric] = {"linear": "accuracy", "mlp": "mAP"}


@dataclasses.dataclass(frozen=True, kw_only=True)
class Prepared:
    """What is known before anything is trained.

    Attributes:
        choice: The probe, and the classes that it scores.
        sets: Embedder -> its sets of features; without those whose sample of the clips cannot be probed.
        clips: Embedder -> its clips, of all embedders. They have the folds that had to be made.
        baseline: The set of features that the others are compared with, or None.
        copies: int (clips of the model,), equal for copies; None where no folds are tested, see `find_copies`.
    """

    choice: ProbeChoice
    sets: Mapping[str, list[FeatureSet]]
    clips: Mapping[str, Clips]
    baseline: str | None
    copies: np.ndarray | None


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


def prepare(embeddings: Embeddings, config: EvaluatorConfig) -> Prepared:
    """Chooses the probe by the labels of the clips that the model has embedded, and makes folds if it needs some.

    Raises:
        UserError: The labels do not allow the probe that the config names, or the baseline is not there.
    """
    sets = sets_by_embedder(embeddings.info.embedders)
    clips = {embedder: read_clips(embeddings, embedder) for embedder in sets}
    names = embeddings.info.label_names
    choice = _choose(clips, config, label_names=names)
    same = copies.find_copies(embeddings, clips, reference=TRAINED) if choice.by_fold else None
    if choice.makes_folds:
        clips, choice = _divided(clips, choice, config, same=same, label_names=names)
    probed = {embedder: of_one for embedder, of_one in sets.items() if _can_probe(choice, clips[embedder], names)}
    return Prepared(choice=choice, sets=probed, clips=clips, baseline=_baseline(config, sets, probed), copies=same)


def _choose(clips: Mapping[str, Clips], config: EvaluatorConfig, *, label_names: Sequence[str]) -> ProbeChoice:
    """Returns the probe that the labels and folds of the clips allow."""
    return choose_probe(config.probe, counts=count_labels(clips[TRAINED], label_names=label_names))


def _can_probe(choice: ProbeChoice, clips: Clips, label_names: Sequence[str]) -> bool:
    """Returns whether the clips of an embedder, perhaps a sample of the model's, can be probed as the model's are."""
    return choice.probe is None or allows(choice, count_labels(clips, label_names=label_names))


def _divided(
    clips: Mapping[str, Clips],
    choice: ProbeChoice,
    config: EvaluatorConfig,
    *,
    same: np.ndarray,
    label_names: Sequence[str],
) -> tuple[dict[str, Clips], ProbeChoice]:
    """Returns the clips with folds for a probe, and the probe that these folds allow.

    Clips of one recording are in one fold, so that a class may be in fewer folds than it has clips, and another probe
    be chosen than before. The mlp probe trains on all labeled clips. So they are divided anew if they were for the
    linear one, which passes over some: of a recording that is tested, no other part may be trained on.
    """
    divided = _with_folds(clips, choice, same)
    made = _choose(divided, config, label_names=label_names)
    if choice.probe == "linear" and made.probe == "mlp":
        divided = _with_folds(clips, made, same)
        made = _choose(divided, config, label_names=label_names)
    return divided, dataclasses.replace(made, makes_folds=made.by_fold)


def _with_folds(clips: Mapping[str, Clips], choice: ProbeChoice, same: np.ndarray) -> dict[str, Clips]:
    """Makes folds of the clips that the probe uses. Others have fold 0."""
    reference = clips[TRAINED]
    used = _probed_clips(choice, reference)
    numbers = np.zeros(len(reference), int)
    numbers[used] = folds.make_folds(reference.take(used, classes=choice.classes), copies=same[used])
    fold_of = dict(zip(reference.clip_ids.tolist(), numbers.tolist(), strict=True))
    return {
        embedder: dataclasses.replace(
            of_one, folds=np.array([fold_of.get(clip_id, 0) for clip_id in of_one.clip_ids], int)
        )
        for embedder, of_one in clips.items()
    }


def evaluate(
    embeddings: Embeddings, prepared: Prepared, config: EvaluatorConfig, *, progress: base.Progress
) -> Evaluation:
    """Probes every set of features, and compares each with the baseline."""
    metric = METRICS[prepared.choice.probe]
    total = sum(len(sets) for sets in prepared.sets.values())
    results: dict[str, ProbeResult] = {}
    columns: dict[str, Columns] = {}
    for embedder, sets in prepared.sets.items():
        different = list({one.columns: one for one in reversed(sets)}.values())[::-1]
        probed = probe(embeddings, different, prepared, config)
        compared = others.score(
            embeddings,
            different,
            prepared.clips[embedder],
            chosen=_probed_clips(prepared.choice, prepared.clips[embedder]),
            scored=prepared.choice.classes,
            classes=len(embeddings.info.label_names),
            metric=metric,
            by_fold=prepared.choice.by_fold,
            seed=config.seed,
        )
        for one in sets:  # An encoder that is alone is `both`, too.
            same = next(other.name for other in different if other.columns == one.columns)
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
    """Probes sets of features of one embedder."""
    clips, scored = prepared.clips[sets[0].embedder], prepared.choice.classes
    classes = len(embeddings.info.label_names)
    if prepared.choice.probe == "linear":
        return linear.probe_all(embeddings, sets, clips, scored=scored, classes=classes, c_grid=config.linear_c)
    return mlp.probe(
        embeddings, sets, clips, scored=scored, classes=classes, by_fold=prepared.choice.by_fold, config=config
    )


def _probed_clips(choice: ProbeChoice, clips: Clips) -> np.ndarray:
    """Returns which clips the probe uses, bool (clips,): those with one of its classes alone, or all with a label."""
    return clips.alone_in(choice.classes) if choice.probe == "linear" else clips.label_counts > 0


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
        tested = np.where(_probed_clips(prepared.choice, reference), reference.folds, 0)
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


def _baseline(
    config: EvaluatorConfig, sets: Mapping[str, list[FeatureSet]], probed: Mapping[str, list[FeatureSet]]
) -> str | None:
    """Returns the set of features that the others are compared with, or None if there is nothing to compare.

    Args:
        config: The settings.
        sets: Embedder -> its sets of features.
        probed: The same, of those that can be probed.

    Raises:
        UserError: The config names a set that is not there.
    """
    names = _names(sets)
    if config.baseline is not None and config.baseline not in names:
        raise UserError(
            f"evaluator.baseline={config.baseline} is not among the embeddings: set it to one of {', '.join(names)}."
        )
    wanted = BASELINES if config.baseline is None else (config.baseline,)
    return next((name for name in wanted if name in _names(probed)), None)


def _names(sets: Mapping[str, list[FeatureSet]]) -> list[str]:
    return [one.name for of_one in sets.values() for one in of_one]
