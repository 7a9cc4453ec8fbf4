"""Reads the vectors of labeled files: as many as fit into a bounded memory."""

import dataclasses
import hashlib
import itertools
from collections import Counter
from collections.abc import Sequence

import numpy as np

from components.errors import UserError
from components.evaluator.recordings import recording_of
from pipeline.vectors.head import labels, training
from pipeline.vectors.stored import StoredVectors

_KEPT_OF_EACH_CLASS = 32
"""Files that a sample keeps of a rare class, if there are as many."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class LabeledVectors:
    """The vectors to train on.

    Attributes:
        files: Names of the files.
        x: float32 (files, dim), the mean of each file.
        targets: bool (files, classes).
        classes: Names of the classes, those without a vector left out.
        labeled: Number of embedded files with a class, of which `files` may be a sample.
        unlabeled: Number of embedded files without a class.
        without_vectors: Number of labeled files that are not among the embeddings.
    """

    files: Sequence[str]
    x: np.ndarray
    targets: np.ndarray
    classes: Sequence[str]
    labeled: int
    unlabeled: int
    without_vectors: int


def read(stored: StoredVectors, of: labels.Labels) -> LabeledVectors:
    """Reads the mean vector of each labeled file, or of a sample of them if all take too much memory.

    First it reads the names alone, so that the vectors are read into the place in which they are trained on.

    Raises:
        UserError: Fewer than two classes have two files each among the embeddings, it is not clear which file is
            which, or the embeddings were written again meanwhile.
    """
    state = stored.state()
    finder = labels.Finder(of, names=itertools.chain.from_iterable(stored.names()))
    classes_of: dict[str, tuple[str, ...]] = {}
    unlabeled = 0
    for name in stored.files_of_rows():
        found = finder.find(name)
        unlabeled += not found
        if found:  # A file that was embedded twice counts once.
            classes_of[name] = found
    classes = sorted({name for found in classes_of.values() for name in found})
    files = sample(classes_of, most=training.most_files(dim=stored.dim, classes=len(classes)))
    numbers = {name: number for number, name in enumerate(classes)}
    targets = np.zeros((len(files), len(classes)), bool)
    for row, name in zip(targets, files, strict=True):
        row[[numbers[of_file] for of_file in classes_of[name]]] = True
    counts = targets.sum(axis=0)
    if (counts >= 2).sum() < 2 or (counts == len(targets)).any():
        raise UserError(_too_few(stored, of, files=len(classes_of)))
    if len(set(map(recording_of, files))) < 2:
        raise UserError(
            f"--embeddings {stored.path}: all labeled clips are parts of one recording, so a head cannot be tested on "
            "another: label clips of a second one, too."
        )
    x = _means(stored, files)
    if stored.state() != state:
        raise UserError(f"--embeddings {stored.path} was written again while it was read: start again.")
    return LabeledVectors(
        files=files,
        x=x,
        targets=targets,
        classes=classes,
        labeled=len(classes_of),
        unlabeled=unlabeled,
        without_vectors=finder.unused,
    )


def sample(classes_of: dict[str, tuple[str, ...]], *, most: int) -> list[str]:
    """Returns the files, or a sample that is always the same: of each class the same share, and some of a rare one.

    Args:
        classes_of: Name of a file -> its classes. A file with several counts as one of its rarest.
        most: How many files at most.
    """
    files = list(classes_of)
    if len(files) <= most:
        return files
    frequency = Counter(name for found in classes_of.values() for name in found)
    numbers = {name: number for number, name in enumerate(frequency)}
    rarest = np.array([numbers[min(found, key=lambda name: (frequency[name], name))] for found in classes_of.values()])
    digests = np.array([hashlib.blake2b(name.encode(), digest_size=8).digest() for name in files], "S8")
    order = np.lexsort((digests, rarest))  # Class by class, in a random order.
    first, counts = np.unique(rarest[order], return_index=True, return_counts=True)[1:]
    place = np.arange(len(files)) - np.repeat(first, counts)
    share = np.where(place < _KEPT_OF_EACH_CLASS, place / _KEPT_OF_EACH_CLASS - 1, place / np.repeat(counts, counts))
    chosen = order[np.lexsort((digests[order], share))[:most]]
    return [files[index] for index in np.sort(chosen)]


def _means(stored: StoredVectors, files: Sequence[str]) -> np.ndarray:
    """Returns the mean vectors of files, float32 (files, dim).

    Raises:
        UserError: A vector is not finite.
    """
    x = np.zeros((len(files), stored.dim), np.float32)
    rows = {name: row for row, name in enumerate(files)}
    for name, mean in stored.means():
        row = rows.pop(name, None)
        if row is not None:
            x[row] = mean
    is_finite = np.isfinite(x.sum(axis=1, dtype=np.float64))
    if not is_finite.all():
        raise UserError(
            f"--embeddings {stored.path}: the vector of {files[int(is_finite.argmin())]} is not finite: repair or "
            "remove this file, and embed again."
        )
    return x


def _too_few(stored: StoredVectors, of: labels.Labels, *, files: int) -> str:
    if not files:
        known, listed = next(stored.names())[0], next(iter(of.classes))
        return (
            f"--labels {of.place}: none of its files (e.g. {listed}) is among {stored.path} (e.g. {known}): embed the "
            "same files."
        )
    return (
        f"--labels {of.place}: a head needs two classes with two files each, and files without them, among "
        f"{stored.path}, where {files:,} files have a label: embed or label more files."
    )
