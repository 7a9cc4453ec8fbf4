"""Chooses the probe that the labels of a set of examples allow, and the classes that it can score."""

import dataclasses
from collections.abc import Sequence
from typing import Literal

from components import text
from components.errors import UserError
from components.evaluator.labels import LabelCounts

Probe = Literal["linear", "mlp"]

MIN_TEST_CLIPS = 5
"""With fewer clips to test on, `auto` runs no probe: a single clip would decide more than a fifth of the score."""

_MANY = 0.1  # With a larger share of clips with several labels, too much would be left out without them.
_SHOWN_CLASSES = 5


@dataclasses.dataclass(frozen=True, kw_only=True)
class ProbeChoice:
    """The probe to run.

    Attributes:
        probe: Name of the probe, or None to run no probe.
        classes: Indices of the classes that it scores.
        by_fold: Whether each fold is tested in turn. Otherwise the eval split is.
        makes_folds: Whether these folds have to be made, because the examples have neither folds nor an eval split.
        left_out: What the probe leaves out, for messages; empty if nothing.
        note: The reason why no probe runs, or None.
        needs_score: Whether a model must not be blessed without a score. It needs none if the examples have no labels,
            or if the config asks for no probe.
    """

    probe: Probe | None
    classes: tuple[int, ...] = ()
    by_fold: bool = False
    makes_folds: bool = False
    left_out: str = ""
    note: str | None = None
    needs_score: bool = True


def choose_probe(requested: Literal["auto", "linear", "mlp", "none"], *, counts: LabelCounts) -> ProbeChoice:
    """Chooses a probe.

    Args:
        requested: The field `probe` of the config.
        counts: The labels of the examples.

    Raises:
        UserError: The examples do not allow the probe that the config names. The way out, auto, allows any examples.
    """
    if requested == "none":
        return ProbeChoice(probe=None, note="evaluator.probe is none", needs_score=False)
    objections = {"linear": _objection_to_linear(counts), "mlp": _objection_to_mlp(counts)}
    if requested != "auto":
        if objections[requested]:
            raise UserError(
                f"evaluator.probe={requested} cannot work, because {objections[requested]}: set evaluator.probe=auto, "
                "which probes what can be probed."
            )
        return _choice(requested, counts)
    if not any(counts.labeled.values()):
        return ProbeChoice(probe=None, note="no labels in the examples", needs_score=False)
    tested = {"linear": _linear_test_clips(counts), "mlp": _mlp_test_clips(counts)}
    # A clip with several labels has no place in the linear probe.
    has_many_of_several = counts.several > _MANY * sum(counts.labeled.values())
    prefers_mlp = has_many_of_several or (counts.has_eval and tested["mlp"] > tested["linear"])
    order: tuple[Probe, ...] = ("mlp", "linear") if prefers_mlp else ("linear", "mlp")
    for probe in order:
        if not objections[probe] and tested[probe] >= MIN_TEST_CLIPS:
            return _choice(probe, counts)
    reasons = {probe: objections[probe] or _too_few(tested[probe]) for probe in order}
    note = f"{reasons['linear']}, and {reasons['mlp']}" if counts.has_folds or counts.can_make_folds else reasons["mlp"]
    return ProbeChoice(probe=None, note=note)


def allows(choice: ProbeChoice, counts: LabelCounts, *, least_test_clips: int) -> bool:
    """Returns whether a sample of the clips can be probed in the same way as all of them.

    Args:
        choice: The choice for all clips. It names a probe, and folds that it makes have been made.
        counts: The labels of the sample.
        least_test_clips: How many of its clips have to be tested.
    """
    if choice.probe == "linear":
        objection, tested = _objection_to_linear(counts), _linear_test_clips(counts)
    else:
        objection, tested = _objection_to_mlp(counts), _mlp_test_clips(counts)
    if objection or tested < least_test_clips:
        return False
    of_sample = _choice(choice.probe, counts)
    return of_sample.by_fold == choice.by_fold and not of_sample.makes_folds


def _objection_to_linear(counts: LabelCounts) -> str | None:
    """Returns the reason why the linear probe cannot work, or None if it can."""
    if not any(counts.labeled.values()):
        return "no clip has a label"
    if not counts.has_folds and not counts.can_make_folds:
        return "no clip with exactly one label has a fold"
    if counts.can_make_folds and len(_linear_classes(counts)) < 2:
        return "fewer than two classes have two clips without another label, to train on one and to test on the other"
    if len(_linear_classes(counts)) < 2:
        return (
            "fewer than two classes have clips without another label in two folds, to train on one and to test on the "
            "other"
        )
    return None


def _objection_to_mlp(counts: LabelCounts) -> str | None:
    """Returns the reason why the mlp probe cannot work, or None if it can."""
    if not any(counts.labeled.values()):
        return "no clip has a label"
    if counts.has_eval and not counts.labeled.get("train"):
        return "no clip of the split train has a label"
    if not _mlp_classes(counts):
        return f"no class {_mlp_condition(counts)}"
    return None


def _mlp_condition(counts: LabelCounts) -> str:
    """Returns what the mlp probe asks of a class."""
    if counts.has_eval:
        return "has clips, and is missing from others, in each of the splits train and eval"
    has = "clips in two folds" if _has_any_fold(counts) else "two clips"
    return f"has {has} and is missing from two others, to train on one and to test on the other"


def _has_any_fold(counts: LabelCounts) -> bool:
    return any(counts.folds_of_class or ())


def _linear_classes(counts: LabelCounts) -> tuple[int, ...]:
    """Returns the classes that are in two folds, so that they can be trained on one and tested on the other.

    Where folds have to be made, those are the classes with two clips.
    """
    if counts.can_make_folds:
        return tuple(sorted(label for (_, label), clips in counts.alone.items() if clips > 1))
    folds: dict[int, set[int]] = {}
    for fold, label in counts.alone:
        if fold:
            folds.setdefault(label, set()).add(fold)
    return tuple(sorted(label for label, found in folds.items() if len(found) > 1))


def _mlp_classes(counts: LabelCounts) -> tuple[int, ...]:
    """Returns the classes that have positive and negative clips both to train and to test on.

    Without an eval split each fold is tested in turn, so that a class must be in two of them. Where folds have to be
    made, it must have two clips.
    """
    numbers = range(len(counts.label_names))
    if not counts.has_eval:
        totals = [sum(of_split[label] for of_split in counts.positives.values()) for label in numbers]
        spread = counts.folds_of_class if _has_any_fold(counts) else totals
        most = sum(counts.labeled.values()) - 2
        return tuple(label for label in numbers if spread[label] >= 2 and totals[label] <= most)
    if not counts.labeled.get("train"):
        return ()
    return tuple(
        label
        for label in numbers
        if all(0 < counts.positives[split][label] < counts.labeled[split] for split in ("train", "eval"))
    )


def _linear_test_clips(counts: LabelCounts) -> int:
    """Returns how many clips the linear probe is tested on."""
    classes = set(_linear_classes(counts))
    has_fold = counts.can_make_folds
    return sum(clips for (fold, label), clips in counts.alone.items() if (fold or has_fold) and label in classes)


def _mlp_test_clips(counts: LabelCounts) -> int:
    """Returns how many clips with a label that it scores the mlp probe is tested on; at most, if they have several."""
    tested = [split for split in counts.positives if split == "eval" or not counts.has_eval]
    positives = sum(counts.positives[split][label] for split in tested for label in _mlp_classes(counts))
    return min(sum(counts.labeled[split] for split in tested), positives)


def _too_few(clips: int) -> str:
    return f"a probe would be tested on {text.plural(clips, 'clip')}, which is fewer than {MIN_TEST_CLIPS}"


def _choice(probe: Probe, counts: LabelCounts) -> ProbeChoice:
    """Returns a choice with what it leaves out."""
    parts = []
    if counts.unlabeled:
        parts.append(f"{text.plural(counts.unlabeled, 'clip')} without a label")
    if probe == "linear":
        classes = _linear_classes(counts)
        condition = "with fewer than two clips" if counts.can_make_folds else "not in two folds"
        if counts.several:
            parts.append(f"{text.plural(counts.several, 'clip')} with several labels")
    else:
        classes, condition = _mlp_classes(counts), _mlp_exclusion(counts)
    others = [name for label, name in enumerate(counts.label_names) if label not in classes]
    if others:
        parts.append(f"{len(others):,} of {len(counts.label_names):,} classes, {condition} ({_first(others)})")
    return ProbeChoice(
        probe=probe,
        classes=classes,
        by_fold=probe == "linear" or not counts.has_eval,
        makes_folds=counts.can_make_folds if probe == "linear" else not counts.has_eval and not _has_any_fold(counts),
        left_out="; ".join(parts),
    )


def _mlp_exclusion(counts: LabelCounts) -> str:
    """Returns why the mlp probe leaves out a class."""
    if counts.has_eval:
        return "not both present and absent in train and in eval"
    return f"{'not in two folds' if _has_any_fold(counts) else 'with fewer than two clips'}, or on almost every clip"


def _first(names: Sequence[str]) -> str:
    shown = ", ".join(names[:_SHOWN_CLASSES])
    return f"{shown}, ..." if len(names) > _SHOWN_CLASSES else shown
