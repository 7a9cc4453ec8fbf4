"""Importer: takes a model that was trained elsewhere into the pipeline, in place of the Trainer's."""

import hashlib
import json
import zipfile
from collections.abc import Mapping
from typing import ClassVar

import pydantic
from etils import epath

from components import base
from components.errors import UserError

FILES = ("model.keras", "initial.keras", "training.json")
"""What the Trainer's model folder holds: the model, the same one untrained, and how it was trained."""


class ImporterConfig(base.StageConfig):
    """Which model to take."""

    model: str = pydantic.Field(
        description="Folder of the model, as `diptych import-panns` or a Trainer wrote it (--import sets it)."
    )


class Importer(base.Component):
    """Copies the model's files, so that the run stays whole whatever becomes of the folder."""

    outputs: ClassVar[Mapping[str, base.ArtifactType]] = {"model": base.ArtifactType.MODEL}
    Config = ImporterConfig

    def check(self) -> None:
        read_model_config(self.config.model)

    def external_digests(self) -> Mapping[str, str]:
        digest = hashlib.sha256()
        for name in FILES:
            stat = (epath.Path(self.config.model) / name).stat()
            digest.update(f"{name}\0{stat.length}\0{stat.mtime}\n".encode())
        return {"model": digest.hexdigest()}

    def execute(
        self,
        *,
        inputs: Mapping[str, epath.Path],
        outputs: Mapping[str, epath.Path],
        context: base.StageContext,
    ) -> base.StageResult:
        for count, name in enumerate(FILES):
            context.progress.update(count, total=len(FILES), unit="files")
            (epath.Path(self.config.model) / name).copy(outputs["model"] / name)
        model = read_model_config(self.config.model)
        encoders = ", ".join(f"{model['encoders'][name]} on {name}" for name in dict.fromkeys(model["formats"]))
        return base.StageResult(summary=f"{encoders} at {model['sample_rate']:,} Hz")


def read_model_config(folder: str) -> dict:
    """Reads how a model was built from its file, without the seconds it takes to load Keras.

    Returns:
        What `models.dual.DualEncoder.get_config` returned.

    Raises:
        UserError: if the folder does not hold a model.
    """
    files = {name: epath.Path(folder) / name for name in FILES}
    if missing := [name for name, file in files.items() if not file.exists()]:
        raise UserError(
            f"importer.model: {folder} has no {missing[0]}; give the folder that `diptych import-panns` or a Trainer "
            "wrote (--import)."
        )
    try:
        with files["model.keras"].open("rb") as file, zipfile.ZipFile(file) as archive:
            whole = json.loads(archive.read("config.json"))
    except (zipfile.BadZipFile, KeyError, ValueError) as error:
        raise UserError(f"importer.model: {files['model.keras']} is damaged: import the network again.") from error
    if whole.get("class_name") != "DualEncoder":
        raise UserError(f"importer.model: {files['model.keras']} is not a model of Diptych's.")
    return whole["config"]
