"""Decides what is probed, before anything is trained: the probe, its classes, its folds and the sets of features."""

import dataclasses
from collections.abc import Mapping, Sequence

import numpy as np

from beam_jobs.embedding.read import Embeddings
from components.errors import UserError
from components.evaluator import copies, folds
from components.evaluator.blessing import BASELINES
from components.evaluator.clips import Clips, count_labels, read_clips
from components.evaluator.config import EvaluatorConfig
from components.evaluator.features import TRAINED, FeatureSet, sets_by_embedder
from components.evaluator.probes.choice import MIN_TEST_CLIPS, ProbeChoice, allows, choose_probe


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
    least = MIN_TEST_CLIPS if config.probe == "auto" else 1
    probed = {
        embedder: of_one
        for embedder, of_one in sets.items()
        if choice.probe is None
        or allows(choice, count_labels(clips[embedder], label_names=names), least_test_clips=least)
    }
    return Prepared(choice=choice, sets=probed, clips=clips, baseline=_baseline(config, sets, probed), copies=same)


def _choose(clips: Mapping[str, Clips], config: EvaluatorConfig, *, label_names: Sequence[str]) -> ProbeChoice:
    """Returns the probe that the labels and folds of the clips allow."""
    return choose_probe(config.probe, counts=count_labels(clips[TRAINED], label_names=label_names))


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
    used = probed_clips(choice, reference)
    numbers = np.zeros(len(reference), int)
    numbers[used] = folds.make_folds(reference.take(used, classes=choice.classes), copies=same[used])
    fold_of = dict(zip(reference.clip_ids.tolist(), numbers.tolist(), strict=True))
    return {
        embedder: dataclasses.replace(
            of_one, folds=np.array([fold_of.get(clip_id, 0) for clip_id in of_one.clip_ids], int)
        )
        for embedder, of_one in clips.items()
    }


def probed_clips(choice: ProbeChoice, clips: Clips) -> np.ndarray:
    """Returns which clips the probe uses, bool (clips,): those with one of its classes alone, or all with a label."""
    return clips.alone_in(choice.classes) if choice.probe == "linear" else clips.label_counts > 0


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
