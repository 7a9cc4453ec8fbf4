"""Reads the folder of a trained model without Keras, which takes seconds to load."""

import json
import zipfile
from typing import TypedDict

from etils import epath

from components.errors import UserError

MODEL, INITIAL_MODEL, TRAINING = "model.keras", "initial.keras", "training.json"
FILES = (MODEL, INITIAL_MODEL, TRAINING)
"""The files in the folder: the trained model, the same model before training, and a record of the training."""


class KerasConfig(TypedDict):
    """What `models.dual.DualEncoder.get_config` returns. Only the fields that are read without Keras are listed."""

    formats: list[str]
    encoders: dict[str, str]
    sample_rate: int


def read_model_config(folder: str) -> KerasConfig:
    """Reads the config of a model from its `.keras` file, which is a zip archive.

    Args:
        folder: The model's folder.

    Raises:
        UserError: The folder does not hold a model.
    """
    for name in FILES:
        if not (epath.Path(folder) / name).exists():
            raise UserError(
                f"importer.model: {folder} has no {name}; give the folder that `diptych import-panns` or a Trainer "
                "wrote (--import)."
            )
    path = epath.Path(folder) / MODEL
    try:
        with path.open("rb") as file, zipfile.ZipFile(file) as archive:
            content = json.loads(archive.read("config.json"))
    except (zipfile.BadZipFile, KeyError, ValueError) as error:
        raise UserError(f"importer.model: {path} is damaged: import the network again.") from error
    if content.get("class_name") != "DualEncoder":
        raise UserError(f"importer.model: {path} is not a Diptych model: give another folder.")
    return content["config"]
