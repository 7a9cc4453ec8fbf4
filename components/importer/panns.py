"""Converts a checkpoint of PANNs (Kong et al. 2020) to a model folder that the Importer reads."""

import json
import math
import os
import pathlib
import tempfile
from collections.abc import Mapping
from typing import NamedTuple

import keras
import numpy as np

from components.errors import UserError
from components.importer import model_folder, torch_file
from models import catalog, compatibility, filters, panns
from models.config import AugmentConfig, EncodersConfig, FrontEndConfig, ModelConfig
from models.dual import DualEncoder

_FILTERS = "logmel_extractor.melW"
"""The tensor of a spectral network that holds its mel filters, (FFT bins, bands)."""


class _FrontEnd(NamedTuple):
    """What distinguishes the front ends of PANNs: sample rate and upper edge of the bands, both in Hz."""

    sample_rate: int
    high_hz: float


# Points of the FFT, which is as long as the window -> front end.
_FRONT_ENDS = {
    1024: _FrontEnd(sample_rate=32000, high_hz=14000.0),
    512: _FrontEnd(sample_rate=16000, high_hz=8000.0),
    256: _FrontEnd(sample_rate=8000, high_hz=4000.0),
}
_LOW_HZ = 50.0
_WAVEFORM_SAMPLE_RATE = 32000
_DEFAULTS = ModelConfig()


def import_checkpoint(checkpoint: str, *, output: str, crop_seconds: float) -> str:
    """Writes a model folder that holds the network of a `.pth` file and the same network before training.

    The model keeps PANNs' front end, sample rate and padding. Both branches use the network as their encoder.

    Args:
        checkpoint: A file that PANNs published or that PANNs' training code saved.
        output: The folder to create. It may exist if it is empty.
        crop_seconds: Length of the sub-clips whose embeddings the pipeline averages.

    Returns:
        One line that names the network, its sample rate and its size.

    Raises:
        UserError: The file does not hold one of PANNs' networks, the folder cannot be created, or the sub-clips are
            too short.
    """
    folder = pathlib.Path(output)
    if os.path.exists(folder) and (not folder.is_dir() or any(folder.iterdir())):
        raise UserError(f"--output {folder} exists already: remove it, or name another folder.")
    arrays = torch_file.read_weights(checkpoint)
    try:
        name = panns.identify(arrays)
        config = _model_config(name, arrays, crop_seconds=crop_seconds)
        keras.utils.set_random_seed(0)
        model = DualEncoder(config)
        record = {"imported_from": pathlib.Path(checkpoint).name, "network": name}
        _write(model, arrays, record=record, folder=folder)
    except ValueError as error:
        raise UserError(f"{checkpoint}: {error}.") from error
    except OSError as error:
        raise UserError(f"--output {folder} cannot be written ({error.strerror}): name another folder.") from error
    return f"{name} at {model.sample_rate:,} Hz, {_parameters(model):,} parameters"


def _model_config(name: str, arrays: Mapping[str, np.ndarray], *, crop_seconds: float) -> ModelConfig:
    """Returns the config of a model with PANNs' front end and encoder in both branches.

    Raises:
        UserError: The crop is not a length, or is too short for the encoder.
        ValueError: The front end in the file is not one of PANNs'.
    """
    if catalog.find_encoder(name).waveform:
        config = _both_branches("waveform", name, sample_rate=_WAVEFORM_SAMPLE_RATE)
    else:
        config = _spectral_config(name, arrays)
    if not math.isfinite(crop_seconds):
        raise UserError(f"--crop-seconds {crop_seconds} is not a length: give seconds.")
    # `model_copy` does not validate. So `check_inputs` also sees a crop of 0 s, and names the shortest crop that fits.
    config = config.model_copy(update={"crop_seconds": crop_seconds})
    try:
        compatibility.check_inputs(config)
    except ValueError as error:
        raise UserError(f"--crop-seconds {crop_seconds:g}: {error}.") from error
    return config


def _spectral_config(name: str, arrays: Mapping[str, np.ndarray]) -> ModelConfig:
    """Returns the config of a spectral network. The shape of its mel filters determines the sample rate.

    Raises:
        ValueError: The front end in the file is not one of PANNs'.
    """
    if _FILTERS not in arrays:
        raise ValueError(f"there is no {_FILTERS}, which determines the network's sample rate")
    bins, bands = arrays[_FILTERS].shape
    fft_length = 2 * (bins - 1)
    if fft_length not in _FRONT_ENDS:
        raise ValueError(f"an FFT of {fft_length} points is none of {list(_FRONT_ENDS)}, which PANNs' networks have")
    sample_rate, high_hz = _FRONT_ENDS[fft_length]
    expected = filters.filter_bank(
        "slaney", bands=bands, sample_rate=sample_rate, fft_length=fft_length, low_hz=_LOW_HZ, high_hz=high_hz
    )
    if not np.allclose(arrays[_FILTERS], expected, rtol=0.0, atol=1e-4 * expected.max()):
        raise ValueError(
            f"its {_FILTERS} is not PANNs' for an FFT of {fft_length} points, {bands} mel bands from {_LOW_HZ:g} to "
            f"{high_hz:g} Hz at {sample_rate} Hz, so the network would not get the input that it was trained on"
        )
    front_end = FrontEndConfig(
        window_seconds=fft_length / sample_rate,
        fft_length=fft_length,
        low_hz=_LOW_HZ,
        high_hz=high_hz,
        mel_scale="slaney",
        log="decibel",
        floor=1e-10,
        centre=True,
    )
    return _both_branches("log_mel", name, sample_rate=sample_rate, n_mels=bands, front_end=front_end)


def _both_branches(
    format_name: str,
    encoder: str,
    *,
    sample_rate: int,
    n_mels: int = _DEFAULTS.n_mels,
    front_end: FrontEndConfig = _DEFAULTS.front_end,
) -> ModelConfig:
    """Returns the config of a model with PANNs' network in both branches, without augmentation."""
    return ModelConfig(
        formats=f"{format_name}+{format_name}",
        encoders=EncodersConfig.model_validate({format_name: encoder}),
        norm="batch",
        padding="valid",
        sample_rate=sample_rate,
        n_mels=n_mels,
        front_end=front_end,
        augment_a=AugmentConfig(),
        augment_b=AugmentConfig(),
    )


def _write(
    model: DualEncoder, arrays: Mapping[str, np.ndarray], *, record: Mapping[str, str], folder: pathlib.Path
) -> None:
    """Writes the files of `model_folder`, completely or not at all.

    Args:
        model: The model with its initial weights. It gets the weights of the checkpoint.
        arrays: The tensors of the checkpoint.
        record: The content of `training.json`.
        folder: The folder to create.
    """
    folder.parent.mkdir(parents=True, exist_ok=True)
    (encoder,) = model.encoders.values()
    with tempfile.TemporaryDirectory(dir=folder.parent, prefix="incomplete-") as temporary:
        incomplete = pathlib.Path(temporary) / "model"
        incomplete.mkdir()
        model.save(incomplete / model_folder.INITIAL_MODEL)
        panns.assign(encoder, arrays)
        model.save(incomplete / model_folder.MODEL)
        (incomplete / model_folder.TRAINING).write_text(json.dumps(record, indent=1))
        os.replace(incomplete, folder)


def _parameters(model: DualEncoder) -> int:
    """Returns the number of trainable parameters of the encoder that both branches share."""
    (encoder,) = model.encoders.values()
    return sum(math.prod(variable.shape) for variable in encoder.trainable_variables)
