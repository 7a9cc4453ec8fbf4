"""Finds the model whose weights a training starts from, and checks that it fits, without Keras and TensorFlow."""

import dataclasses
import json
import os
import zipfile
import zlib
from collections.abc import Iterator, Mapping

import pydantic
from etils import epath

from beam_jobs import error_text, storage
from components import keras_config, model_versions
from components.embedding_info import ASSET, FILE
from components.errors import UserError
from components.trainer.config import TrainerConfig
from models import config as model_config
from models.config import ModelConfig, WidthsConfig

FIELD = "trainer.initial_model"

_KERAS_FILES = ("model.keras", "model/model.keras")
"""Where a Trainer's or an Importer's output, and the output of `diptych train`, have their model."""

_ARCHITECTURE = ("formats", "share_encoder", "norm", "padding", "sample_rate")
_OF_SPECTRA = ("n_mels", "n_mfcc", "front_end")
_OF_PROJECTOR = ("projector_dim", "projector_norm")
"""Fields of `ModelConfig` that decide which weights a model has, and what they mean."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class InitialModel:
    """A model to start from.

    Attributes:
        path: The `.keras` file, or the folder of a SavedModel.
        config: Its architecture.
        is_exported: Whether it is a SavedModel, which has no projector.
    """

    path: epath.Path
    config: ModelConfig
    is_exported: bool

    @property
    def weights_file(self) -> epath.Path:
        """The file that holds most of the weights."""
        return self.path / "variables" / "variables.data-00000-of-00001" if self.is_exported else self.path

    def digest(self) -> str:
        """Returns a digest of the weights that is cheap, because every run asks for it."""
        return storage.quick_digest(self.weights_file)

    def sha256(self) -> str:
        """Returns the SHA-256 of the weights, for the record of the training."""
        return storage.file_digest(self.weights_file).sha256


def find(name: str) -> InitialModel:
    """Returns the model that a user names: a `.keras` file, a folder with one, or an exported SavedModel.

    Raises:
        UserError: There is none, or it is not Diptych's.
    """
    place = epath.Path(os.path.expanduser(name))
    try:
        for candidate in (place, *(place / below for below in _KERAS_FILES)):
            if candidate.suffix == ".keras" and candidate.exists():
                return InitialModel(path=candidate, config=_of_keras_file(candidate), is_exported=False)
        if storage.is_folder(place):
            folder = place if model_versions.is_saved_model(place) else None
            if folder is None and (newest := model_versions.newest(place)) is not None:
                folder = epath.Path(newest[1])
            if folder is not None:
                return InitialModel(path=folder, config=_of_saved_model(folder), is_exported=True)
    except OSError as error:
        raise UserError(f"{FIELD}: {name} cannot be read ({error.strerror or error}): give another model.") from error
    raise UserError(
        f"{FIELD}: {name} is no model: give a .keras file, the folder of a trained or imported model, or an exported "
        "SavedModel."
    )


def check(config: TrainerConfig) -> None:
    """Checks that the model that a training is to start from has its architecture.

    Raises:
        UserError: It has another one, or there is no such model.
    """
    initial = find(config.initial_model)
    differences = list(_differences(initial, config.model))
    if differences:
        which = " and ".join(f"{name} {_shown(theirs)} (not {_shown(ours)})" for name, theirs, ours in differences)
        settings = " ".join(f"trainer.model.{name}={_shown(theirs)}" for name, theirs, _ in differences)
        raise UserError(f"{FIELD}: {initial.path} has {which}: set {settings}, or start from another model.")


def _differences(initial: InitialModel, ours: ModelConfig) -> Iterator[tuple[str, object, object]]:
    """Yields the name of each field that does not fit, with its value in the initial model and in ours."""
    theirs = initial.config
    names = [*_ARCHITECTURE, *(() if initial.is_exported else _OF_PROJECTOR)]
    formats = dict.fromkeys(ours.format_names)
    if set(formats) != {"waveform"}:
        names += _OF_SPECTRA
    for name in names:
        yield from _unequal(name, getattr(theirs, name), getattr(ours, name))
    if theirs.formats != ours.formats:
        return
    for each in formats:
        yield from _unequal(f"encoders.{each}", theirs.encoders.for_format(each), ours.encoders.for_format(each))
        if theirs.widths != WidthsConfig() or ours.widths != WidthsConfig():
            yield from _unequal(f"widths.{each}", theirs.width_for(each), ours.width_for(each))
    if theirs.widths == ours.widths == WidthsConfig():
        yield from _unequal("width", theirs.width, ours.width)


def _unequal(name: str, theirs: object, ours: object) -> Iterator[tuple[str, object, object]]:
    if isinstance(theirs, pydantic.BaseModel) and isinstance(ours, pydantic.BaseModel):
        for field in type(theirs).model_fields:
            yield from _unequal(f"{name}.{field}", getattr(theirs, field), getattr(ours, field))
    elif theirs != ours:
        yield name, theirs, ours


def _shown(value: object) -> str:
    return value if isinstance(value, str) else json.dumps(value)


def _of_keras_file(file: epath.Path) -> ModelConfig:
    try:
        with file.open("rb") as opened, zipfile.ZipFile(opened) as archive:
            return model_config.of_saved_model(keras_config.read(archive))
    except keras_config.ForeignModelError as error:
        raise UserError(f"{FIELD}: {file} {error}: give another model.") from error
    except (zipfile.BadZipFile, zlib.error, EOFError, KeyError, ValueError) as error:
        reason = error_text.first_line(error)
        raise UserError(f"{FIELD}: {file} is damaged ({reason}): copy it again, or give another model.") from error


def _of_saved_model(folder: epath.Path) -> ModelConfig:
    file = next((folder / name for name in (FILE, ASSET) if (folder / name).exists()), folder / FILE)
    try:
        described: Mapping[str, object] = json.loads(file.read_text())["model"]
        return model_config.of_saved_model(described)
    except (OSError, KeyError, TypeError, ValueError) as error:
        raise UserError(
            f"{FIELD}: {folder} does not say which model it holds, because another program or an older version of "
            "Diptych exported it: give the Trainer's model that was exported."
        ) from error
