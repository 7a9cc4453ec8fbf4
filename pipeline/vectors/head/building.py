"""Makes a head from embeddings and labels: what `diptych classify` does before it is used."""

import dataclasses
import itertools
import os
import pathlib
import shutil
from collections.abc import Sequence

import numpy as np

from beam_jobs import storage
from components import file_errors
from components.embedding_info import EmbeddingInfo
from components.errors import UserError
from components.evaluator.folds import recording_of
from pipeline.vectors import models
from pipeline.vectors.head import description, labels, training
from pipeline.vectors.stored import StoredVectors


@dataclasses.dataclass(frozen=True, kw_only=True)
class LabeledVectors:
    """The vectors to train on.

    Attributes:
        files: Names of the files.
        x: float32 (files, dim), the mean of each file.
        targets: bool (files, classes).
        classes: Names of the classes, those without a vector left out.
        unlabeled: Number of embedded files without a class.
        without_vectors: Number of labeled files that are not among the embeddings.
    """

    files: Sequence[str]
    x: np.ndarray
    targets: np.ndarray
    classes: Sequence[str]
    unlabeled: int
    without_vectors: int


def labeled_vectors(stored: StoredVectors, of: labels.Labels) -> LabeledVectors:
    """Reads the mean vector of each labeled file.

    Raises:
        UserError: Fewer than two classes have two files each among the embeddings, or it is not clear which file is
            which.
    """
    finder = labels.Finder(of, names=itertools.chain.from_iterable(stored.names()))
    vectors: dict[str, np.ndarray] = {}
    classes: list[tuple[str, ...]] = []
    unlabeled = 0
    for name, mean in stored.means():
        found = finder.find(name)
        unlabeled += not found
        if found and name not in vectors:  # A file that was embedded twice counts once.
            vectors[name] = mean.astype(np.float32)
            classes.append(found)
    names = sorted({name for found in classes for name in found})
    numbers = {name: number for number, name in enumerate(names)}
    targets = np.zeros((len(classes), len(names)), bool)
    for row, found in zip(targets, classes, strict=True):
        row[[numbers[name] for name in found]] = True
    counts = targets.sum(axis=0)
    if (counts >= 2).sum() < 2 or (counts == len(targets)).any():
        raise UserError(_too_few(stored, of, files=len(classes)))
    if len(set(map(recording_of, vectors))) < 2:
        raise UserError(
            f"--embeddings {stored.path}: all labeled clips are parts of one recording, so a head cannot be tested on "
            "another: label clips of a second one, too."
        )
    x = np.stack(list(vectors.values()))
    is_finite = np.isfinite(x).all(axis=1)
    if not is_finite.all():
        raise UserError(
            f"--embeddings {stored.path}: the vector of {list(vectors)[int(is_finite.argmin())]} is not finite: repair "
            "or remove this file, and embed again."
        )
    return LabeledVectors(
        files=list(vectors), x=x, targets=targets, classes=names, unlabeled=unlabeled, without_vectors=finder.unused
    )


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


def save(
    head: training.Head, validated: training.CrossValidation, folder: str, *, stored: StoredVectors, saved_model: str
) -> None:
    """Writes a head as a SavedModel and checks it in a fresh process. A folder that holds a head is replaced.

    Raises:
        UserError: The folder holds something else or cannot be written, or the check fails.
    """
    # Imported here so that wrong labels are reported before the seconds that TensorFlow takes to load.
    from pipeline.vectors.head import saved_head

    place = pathlib.Path(folder).absolute()
    unfinished = place.with_name(f"{place.name}.{os.getpid()}{storage.UNFINISHED}")
    info = EmbeddingInfo.read(saved_model)
    embeddings = models.columns(info.dims, stored=stored)
    described = description.HeadDescription(
        classes=head.classes,
        activation=head.activation,
        dim=stored.dim,
        embeddings=embeddings,
        sample_rate=info.sample_rate,
        window_samples=info.crop_samples,
        hop_samples=info.stride_samples,
        model=os.path.abspath(saved_model),
        score=dataclasses.asdict(validated),
    )
    with file_errors.as_user_errors(place=folder):
        try:
            place.parent.mkdir(parents=True, exist_ok=True)
            saved_head.write(head, unfinished, saved_model=saved_model, embeddings=embeddings)
            saved_head.check(head, unfinished, saved_model=saved_model, embeddings=embeddings)
            described.write(unfinished)
            if place.exists():
                shutil.rmtree(place)
            unfinished.rename(place)
        finally:
            shutil.rmtree(unfinished, ignore_errors=True)


def check_place(folder: str) -> None:
    """Checks that a folder can become that of a head.

    Raises:
        UserError: It holds something else.
    """
    place = pathlib.Path(folder)
    if place.exists() and not (place / description.FILE).exists() and (place.is_file() or any(place.iterdir())):
        raise UserError(f"--output {folder} exists and is no head: name another folder.")
