import dataclasses

import pytest

from components.errors import UserError
from components.evaluator.clips import count_labels
from components.evaluator.probes.choice import choose_probe
from tests.components.evaluator.scattered_clips import clips_of

NAMES = ("a", "b", "c")
A, B, C = (0,), (1,), (2,)


def _in_folds(*of_folds):
    """Returns clips of the train split; the labels of fold 1 come first."""
    return [(clip, fold, "train") for fold, clips in enumerate(of_folds, start=1) for clip in clips]


def _in_splits(**splits):
    return [(clip, 0, split) for split, clips in splits.items() for clip in clips]


def _counts(clips, names=NAMES):
    labels, folds, splits = zip(*clips, strict=True)
    return count_labels(clips_of(labels, folds=folds, splits=splits), label_names=names)


BALANCED = [A, B, C]
PROBED = {
    "folds": (_in_folds(BALANCED, BALANCED), "linear", (0, 1, 2), ""),
    "an unlabeled clip among folds": (
        _in_folds([*BALANCED, ()], BALANCED), "linear", (0, 1, 2), "1 clip without a label",
    ),
    "two clips with several labels among folds": (
        _in_folds([*BALANCED * 3, (0, 1)], [*BALANCED * 3, (0, 2)]), "linear", (0, 1, 2), "2 clips with several labels",
    ),
    "many clips with several labels among folds": (
        _in_folds([*BALANCED, (0, 1)], [*BALANCED, (0, 2)]), "mlp", (0, 1, 2), "",
    ),
    "a class of several labels that is in one fold": (
        _in_folds([(0, 1), (1, 2), A, A], [(0, 1), B, A, A]), "mlp", (0, 1),
        "1 of 3 classes, not in two folds, or on almost every clip (c)",
    ),
    "a class with one clip": (
        _in_folds([A, *BALANCED], [A, B]), "linear", (0, 1), "1 of 3 classes, not in two folds (c)",
    ),
    "fold gaps": (
        [(clip, fold, "train") for fold in (1, 3, 7) for clip in BALANCED], "linear", (0, 1, 2), "",
    ),
    "folds for some clips only": (
        [*_in_folds([A, *BALANCED], [A, B]), *_in_splits(train=BALANCED)], "linear", (0, 1),
        "1 of 3 classes, not in two folds (c)",
    ),
    "one fold, but an eval split": (
        [*_in_folds(BALANCED), *_in_splits(eval=BALANCED * 2)], "mlp", (0, 1, 2), "",
    ),
    "one fold of each class, but an eval split": (
        [*_in_folds([A], [B], [C]), *[(A, 1, "eval"), (B, 2, "eval"), (C, 3, "eval")] * 2], "mlp", (0, 1, 2), "",
    ),
    "several labels with folds": (
        [((0, 1), 1, "train"), ((1, 2), 2, "train"), *[((0, 1), 1, "eval"), ((1, 2), 2, "eval")] * 3],
        "mlp", (0, 2),
        "1 of 3 classes, not both present and absent in train and in eval (b)",
    ),
    "splits": (_in_splits(train=BALANCED, eval=BALANCED * 2), "mlp", (0, 1, 2), ""),
    "a class only in eval": (
        _in_splits(train=[A, B], eval=BALANCED * 3), "mlp", (0, 1),
        "1 of 3 classes, not both present and absent in train and in eval (c)",
    ),
    "unlabeled clips": (
        _in_splits(train=[*BALANCED, ()], eval=[*BALANCED * 2, (), ()]), "mlp", (0, 1, 2), "3 clips without a label",
    ),
    "a class on every clip": (
        _in_splits(train=[A, (0, 1), C], eval=[(0, 2), (0, 1)] * 3), "mlp", (1, 2), "1 of 3 classes",
    ),
    "two classes with two clips in folds, but a large eval split": (
        [*_in_folds([A, B], [A, B]), *_in_splits(train=BALANCED, eval=BALANCED * 2)], "mlp", (0, 1, 2), "",
    ),
    "as many clips in folds as in eval": (
        [*_in_folds(BALANCED, BALANCED), *_in_splits(eval=BALANCED * 2)], "linear", (0, 1, 2), "",
    ),
}  # fmt: skip

# Folds are made of the clips of a folder, without folds and without an eval split.
MADE_FOLDS = {
    "a class a folder": (_in_splits(train=BALANCED * 2, valid=BALANCED), (0, 1, 2), ""),
    "an unlabeled eval split": (_in_splits(train=BALANCED * 2, eval=[()]), (0, 1, 2), "1 clip without a label"),
    "a class with one clip": (
        _in_splits(train=[A, A, B, B, B, C]), (0, 1), "1 of 3 classes, with fewer than two clips (c)",
    ),
    "a clip of two classes": (_in_splits(train=[*BALANCED * 3, (0, 1)]), (0, 1, 2), "1 clip with several labels"),
}  # fmt: skip

MADE_FOLDS_OF_SEVERAL = {
    "several labels": (_in_splits(train=[(0, 1), (1, 2), (0, 2)] * 2, valid=[(0, 1)]), (0, 1, 2), ""),
    "a fifth has several labels": (_in_splits(train=[*BALANCED * 3, (0, 1), (1, 2)]), (0, 1, 2), ""),
    "a class on every clip": (
        _in_splits(train=[(0, 1), (1, 2)] * 3), (0, 2),
        "1 of 3 classes, with fewer than two clips, or on almost every clip (b)",
    ),
    "one class without another label": (_in_splits(train=[(0, 1), A] * 5), (1,), "2 of 3 classes"),
    "an unlabeled eval split": (
        _in_splits(train=[(0, 1), (1, 2), (0, 2)] * 2, eval=[()]), (0, 1, 2), "1 clip without a label",
    ),
}  # fmt: skip

NOT_PROBED = {
    "no eval split": (_in_splits(train=BALANCED), "fewer than two classes have two clips"),
    "each class on one clip": (_in_splits(train=[(0, 1), (2,), ()]), "no class has two clips and is missing from two"),
    "an unlabeled eval split": (_in_splits(train=BALANCED, eval=[(), ()]), "no class has two clips"),
    "labels in eval only": (_in_splits(train=[(), ()], eval=BALANCED), "no clip of the split train has a label"),
    "one class": (_in_splits(train=[A, A], eval=[A, A]), "no class has clips, and is missing from others, in each"),
    "every label on every clip": (_in_splits(train=[(0, 1, 2)] * 3, eval=[(0, 1, 2)] * 2), "no class has clips"),
    "an eval split of one clip": (_in_splits(train=BALANCED, eval=[A]), "no class has clips"),
    "other classes in eval": (_in_splits(train=[A, B], eval=[C, C]), "no class has clips"),
    "one class in folds": (_in_folds([A, A], [A, A]), "fewer than two classes have clips without another"),
    "one class a fold": (_in_folds([A, A], [B, B], [C, C]), "fewer than two classes have clips without another"),
    "one fold": (_in_folds(BALANCED * 3), "fewer than two classes have clips without another"),
    "one clip a class": (_in_folds([A], [B], [C]), "fewer than two classes have clips without another"),
    "every clip alike in folds": (_in_folds([(0, 1)], [(0, 1)]), "no class has clips in two folds and is missing"),
}  # fmt: skip


@pytest.mark.parametrize("case", PROBED)
def test_auto_probes_what_can_be_probed_and_says_what_it_leaves_out(case):
    clips, probe, classes, left_out = PROBED[case]
    choice = choose_probe("auto", counts=_counts(clips))
    assert (choice.probe, choice.classes, choice.note) == (probe, classes, None)
    assert choice.left_out.startswith(left_out)
    assert bool(choice.left_out) == bool(left_out)
    assert choose_probe(probe, counts=_counts(clips)) == choice


@pytest.mark.parametrize("case", MADE_FOLDS)
def test_folds_are_made_where_there_are_neither_folds_nor_an_eval_split(case):
    clips, classes, left_out = MADE_FOLDS[case]
    for probe in ("auto", "linear"):
        choice = choose_probe(probe, counts=_counts(clips))
        assert (choice.probe, choice.classes, choice.makes_folds) == ("linear", classes, True)
        assert choice.left_out.startswith(left_out)
        assert bool(choice.left_out) == bool(left_out)
    for clips, _, _, _ in PROBED.values():
        assert not choose_probe("auto", counts=_counts(clips)).makes_folds


@pytest.mark.parametrize("case", MADE_FOLDS_OF_SEVERAL)
def test_folds_are_made_of_clips_with_several_labels_too(case):
    clips, classes, left_out = MADE_FOLDS_OF_SEVERAL[case]
    for probe in ("auto", "mlp"):
        choice = choose_probe(probe, counts=_counts(clips))
        assert (choice.probe, choice.classes) == ("mlp", classes)
        assert choice.by_fold
        assert choice.makes_folds
        assert choice.left_out.startswith(left_out)
        assert bool(choice.left_out) == bool(left_out)


def test_folds_are_not_made_where_they_are_not_known_from_statistics():
    """Statistics count the folds of clips with one label only."""
    counts = dataclasses.replace(_counts(_in_folds([(0, 1), (1, 2)] * 2, [(0, 2), A] * 2)), folds_of_class=None)
    assert choose_probe("mlp", counts=counts).classes == (0, 1, 2)


@pytest.mark.parametrize("case", NOT_PROBED)
def test_what_cannot_be_probed_is_refused_but_by_auto_which_does_not_bless_it(case):
    clips, reason = NOT_PROBED[case]
    counts = _counts(clips)
    choice = choose_probe("auto", counts=counts)
    assert choice.probe is None
    assert reason in choice.note
    assert choice.needs_score
    for probe in ("linear", "mlp"):
        with pytest.raises(UserError, match=rf"evaluator\.probe={probe} cannot work, because .*evaluator.probe=auto"):
            choose_probe(probe, counts=counts)
    assert not choose_probe("none", counts=counts).needs_score


@pytest.mark.parametrize(
    "clips", [_in_folds([A, B], [A, B]), _in_splits(train=BALANCED, eval=[A, B, C, A])], ids=["folds", "splits"]
)
def test_auto_gives_no_score_if_a_single_clip_would_decide_it(clips):
    choice = choose_probe("auto", counts=_counts(clips))
    assert (choice.probe, choice.needs_score) == (None, True)
    assert "a probe would be tested on 4 clips, which is fewer than 5" in choice.note
    probe = "linear" if clips[0][1] else "mlp"
    assert choose_probe(probe, counts=_counts(clips)).probe == probe


@pytest.mark.parametrize("names", [(), NAMES], ids=["no class", "classes without a clip"])
def test_examples_without_labels_need_no_score(names):
    counts = _counts([((), 0, "train"), ((), 2, "train"), ((), 0, "eval")], names=names)
    choice = choose_probe("auto", counts=counts)
    assert (choice.probe, choice.note, choice.needs_score) == (None, "no labels in the examples", False)
