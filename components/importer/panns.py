"""Turns a checkpoint of PANNs (Kong et al. 2020) into a model that the pipeline takes in place of one it trained."""

import json
import math
import os
import pathlib
import tempfile
from collections.abc import Mapping

import keras
import numpy as np

from components.errors import UserError
from components.importer import torch_file
from models import catalog, compatibility, filters, panns
from models.config import AugmentConfig, EncodersConfig, FrontEndConfig, ModelConfig
from models.dual import DualEncoder

_FILTERS = "logmel_extractor.melW"  # (Fourier bins, bands)
# Points of the FFT, which is as long as the window -> sample rate, and upper edge of the bands.
_RATES = {1024: (32000, 14000.0), 512: (16000, 8000.0), 256: (8000, 4000.0)}
_LOW_HZ, _WAVEFORM_RATE = 50.0, 32000


def import_checkpoint(checkpoint: str, *, output: str, crop_seconds: float) -> str:
    """Writes a folder as the Trainer does: the network of a `.pth` file, and the same network untrained.

    The network keeps PANNs' front end, sample rate and padding, and is the encoder of both branches.

    Args:
        checkpoint: File that PANNs published, or that their training saved.
        output: Folder to make; it may be there if it is empty.
        crop_seconds: Length of the sub-clips whose embeddings the pipeline will average.

    Returns:
        What was imported, in a line.

    Raises:
        UserError: the file is not of one of these networks, the folder cannot be made, or the sub-clips are too short.
    """
    folder = pathlib.Path(output)
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise UserError(f"--output {folder} is there already: remove it, or name another folder.")
    arrays = torch_file.read_weights(checkpoint)
    try:
        name = panns.identify(arrays)
        config = _model_config(name, arrays, crop_seconds=crop_seconds)
        keras.utils.set_random_seed(0)
        model = DualEncoder(config)
        _write(model, arrays, record={"imported_from": pathlib.Path(checkpoint).name, "network": name}, folder=folder)
    except ValueError as error:
        raise UserError(f"{checkpoint}: {error}.") from error
    except OSError as error:
        raise UserError(f"--output {folder} cannot be written ({error.strerror}): name another folder.") from error
    return f"{name} at {model.sample_rate:,} Hz, {_parameters(model):,} parameters"


def _model_config(name: str, arrays: Mapping[str, np.ndarray], *, crop_seconds: float) -> ModelConfig:
    """Returns the config whose encoder and front end are PANNs', with the encoder in both branches.

    Raises:
        UserError: The crop is not a length, or too short for the encoder.
        ValueError: The front end of the file is not one of PANNs'.
    """
    if catalog.find_encoder(name).waveform:
        config = _both_branches("waveform", name, sample_rate=_WAVEFORM_RATE)
    else:
        config = _spectral(name, arrays)
    if not math.isfinite(crop_seconds):
        raise UserError(f"--crop-seconds {crop_seconds} is not a length: give seconds.")
    # `model_copy` does not validate, so that `check_inputs` sees a crop of 0 s, too, and names the shortest crop.
    config = config.model_copy(update={"crop_seconds": crop_seconds})
    try:
        compatibility.check_inputs(config)
    except ValueError as error:
        raise UserError(f"--crop-seconds {crop_seconds:g}: {error}.") from error
    return config


def _spectral(name: str, arrays: Mapping[str, np.ndarray]) -> ModelConfig:
    """Returns the config of a spectral network, whose mel filters tell its sample rate.

    Raises:
        ValueError: The front end of the file is not one of PANNs'.
    """
    if _FILTERS not in arrays:
        raise ValueError(f"there is no {_FILTERS}, which would tell the network's sample rate")
    bins, bands = arrays[_FILTERS].shape
    fft_length = 2 * (bins - 1)
    if fft_length not in _RATES:
        raise ValueError(f"an FFT of {fft_length} points is none of {list(_RATES)}, which PANNs' networks have")
    sample_rate, high_hz = _RATES[fft_length]
    shape = {"fft_length": fft_length, "low_hz": _LOW_HZ, "high_hz": high_hz}
    ours = filters.triangles("slaney", bands=bands, sample_rate=sample_rate, **shape)
    if not np.allclose(arrays[_FILTERS], ours, rtol=0.0, atol=1e-4 * ours.max()):
        raise ValueError(
            f"its {_FILTERS} is not PANNs' for an FFT of {fft_length} points, {bands} mel bands from {_LOW_HZ:g} to "
            f"{high_hz:g} Hz at {sample_rate} Hz, so the network would not hear what it was trained on"
        )
    front_end = FrontEndConfig(
        window_seconds=fft_length / sample_rate, mel_scale="slaney", log="decibel", floor=1e-10, centre=True, **shape
    )
    return _both_branches("log_mel", name, sample_rate=sample_rate, n_mels=bands, front_end=front_end)


def _both_branches(format_name: str, encoder: str, **fields: int | FrontEndConfig) -> ModelConfig:
    """Returns the config of PANNs' network in both branches, without augmentation."""
    return ModelConfig(
        formats=f"{format_name}+{format_name}",
        encoders=EncodersConfig(**{format_name: encoder}),
        norm="batch",
        padding="valid",
        augment_a=AugmentConfig(),
        augment_b=AugmentConfig(),
        **fields,
    )


def _write(model: DualEncoder, arrays: Mapping[str, np.ndarray], *, record: Mapping, folder: pathlib.Path) -> None:
    """Writes what `components.importer` reads, whole or not at all."""
    folder.parent.mkdir(parents=True, exist_ok=True)
    (encoder,) = model.encoders.values()
    with tempfile.TemporaryDirectory(dir=folder.parent, prefix="incomplete-") as temporary:
        incomplete = pathlib.Path(temporary) / "model"
        incomplete.mkdir()
        model.save(incomplete / "initial.keras")
        panns.assign(encoder, arrays)
        model.save(incomplete / "model.keras")
        (incomplete / "training.json").write_text(json.dumps(record, indent=1))
        os.replace(incomplete, folder)


def _parameters(model: DualEncoder) -> int:
    (encoder,) = model.encoders.values()
    return sum(math.prod(variable.shape) for variable in encoder.trainable_variables)
