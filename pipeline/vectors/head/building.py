"""Saves a head with the model as a SavedModel."""

import dataclasses
import os
import pathlib
import shutil

from beam_jobs import storage
from components import file_errors
from components.embedding_info import EmbeddingInfo
from components.errors import UserError
from diptych import runtimes
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
