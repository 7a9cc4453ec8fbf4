"""Saves a head with the model as a SavedModel."""

import dataclasses
import os
import pathlib
import shutil

from components import file_errors
from components.embedding_info import EmbeddingInfo
from components.errors import UserError
from diptych import runtimes
from pipeline import unfinished
from pipeline.vectors import models
from pipeline.vectors.head import description, training
from pipeline.vectors.stored import StoredVectors


def save(
    head: training.Head, validated: training.CrossValidation, folder: str, *, stored: StoredVectors, saved_model: str
) -> None:
    """Writes a head as a SavedModel and checks it in a fresh process. A folder that holds a head is replaced.

    Raises:
        UserError: The folder holds something else or cannot be written, or the check fails.
    """
    # Imported here so that wrong labels are reported before the seconds that TensorFlow takes to load.
    from pipeline.vectors.head import saved_head

    place = pathlib.Path(os.path.realpath(folder))
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
        place.parent.mkdir(parents=True, exist_ok=True)
        new = unfinished.place(place)
        try:
            saved_head.write(head, new, saved_model=saved_model, embeddings=embeddings)
            saved_head.check(head, new, saved_model=saved_model, embeddings=embeddings)
            described.write(new)
            check_place(folder)  # Training takes long enough to put something there.
            _move_in(new, place)
        finally:
            shutil.rmtree(new, ignore_errors=True)


def check_place(folder: str) -> None:
    """Checks that a folder can become that of a head: there is none, an empty one, or a head and nothing else.

    Raises:
        UserError: It holds something else.
    """
    place = pathlib.Path(os.path.realpath(folder))
    with file_errors.as_user_errors(place=folder):
        if not place.exists() or (place.is_dir() and not any(place.iterdir())):
            return
    try:
        description.read(str(place))
    except UserError as error:
        raise UserError(f"--output {folder} exists and is no head: name another folder.") from error
    foreign = _foreign(place)
    if foreign:
        raise UserError(
            f"--output {folder} holds {foreign}, which is no part of a head and would be lost: move it, or name "
            "another folder."
        )


def _foreign(place: pathlib.Path) -> str:
    """Returns the first entry of a folder that is no part of a head, or ""."""
    names = sorted(path.relative_to(place).as_posix() for path in place.rglob("*"))
    return next((name for name in names if not description.is_part(name)), "")


def _move_in(new: pathlib.Path, place: pathlib.Path) -> None:
    """Puts a new head in the place of an old one. At any moment one of them is there whole, if need be beside it."""
    old = place.with_name(f"{place.name}.{os.getpid()}.old")
    if place.exists():
        place.rename(old)
    try:
        new.rename(place)
    except OSError:
        if old.exists():
            old.rename(place)
        raise
    shutil.rmtree(old, ignore_errors=True)


def check_model(model: str) -> None:
    """Checks that a head can be saved together with a model.

    Raises:
        UserError: It is a file for another runtime.
    """
    if runtimes.is_file(model):
        raise UserError(
            f"--model {model}: a head is saved with a SavedModel: embed with the SavedModel that the file was made of, "
            "and give that one, or leave out --output."
        )
