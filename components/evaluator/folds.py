"""Folds for cross-validation where the examples have none of their own."""

import hashlib
from collections import Counter, defaultdict
from collections.abc import Sequence

import numpy as np

from components.evaluator.clips import Clips
from components.evaluator.copies import joined
from components.evaluator.recordings import recording_numbers, whole_clip

FOLDS = 5


def make_folds(clips: Clips, *, copies: np.ndarray | None = None, folds: int = FOLDS) -> np.ndarray:
    """Divides clips into folds of about equal size that hold the classes in about equal shares.

    All clips of a recording and of its copies are in one fold, for they sound alike. The recordings of a class are
    dealt out in the order of a hash of their names, so that the folds depend on neither the order of the clips nor a
    random number. A recording with several labels counts as one of its rarest class.

    Args:
        clips: The clips.
        copies: int (clips,), equal for copies; None if there are none.
        folds: Number of folds; fewer if no class has as many recordings, but at least 2 if there are two recordings.

    Returns:
        int (clips,), counted from 1.
    """
    members = _members(clips, np.arange(len(clips)) if copies is None else copies)
    frequency = Counter(clips.label_values.tolist())
    by_class: defaultdict[int, list[str]] = defaultdict(list)
    for recording, indices in members.items():
        labels = {label for index in indices for label in clips.labels(index)}
        by_class[min(labels, key=lambda label: (frequency[label], label), default=-1)].append(recording)
    largest = max((len(recordings) for recordings in by_class.values()), default=1)
    folds = max(1, min(folds, max(2, largest), len(members)))
    fold_of_clip = np.zeros(len(clips), int)
    dealt = 0
    for label in sorted(by_class):
        for recording in _in_stable_order(by_class[label]):
            fold_of_clip[members[recording]] = dealt % folds + 1
            dealt += 1
    return fold_of_clip


def make_folds_to_choose(clips: Clips, *, folds: int = FOLDS) -> np.ndarray:
    """Divides training clips to choose a classifier among several; see `make_folds`.

    Where all are parts of one recording, they are divided all the same. A choice can do with that; a score could not.
    """
    made = make_folds(clips, folds=folds)
    return made if made.max() > 1 else np.arange(len(clips)) % folds + 1


def _members(clips: Clips, copies: np.ndarray) -> dict[str, list[int]]:
    """Returns the clips of each recording and of its copies, by the first of their names."""
    members: defaultdict[int, list[int]] = defaultdict(list)
    for index, group in enumerate(joined(recording_numbers(clips.clip_ids), copies).tolist()):
        members[group].append(index)
    return {min(whole_clip(clips.clip_ids[index]) for index in indices): indices for indices in members.values()}


def _in_stable_order(recordings: Sequence[str]) -> list[str]:
    return sorted(recordings, key=lambda name: hashlib.blake2b(name.encode(), digest_size=8).digest())
