"""Turns a checkpoint of PANNs (Kong et al. 2020) into a model that the pipeline takes in place of one it trained."""

import dataclasses
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
from models import catalog, filters, panns
from models.dual import DualEncoder
from models.formats import FrontEndOptions

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
        network = _network(name, arrays)
        _check_crop(network, seconds=crop_seconds)
        keras.utils.set_random_seed(0)
        model = DualEncoder(**network, crop_seconds=crop_seconds)
        _write(model, arrays, record={"imported_from": pathlib.Path(checkpoint).name, "network": name}, folder=folder)
    except ValueError as error:
        raise UserError(f"{checkpoint}: {error}.") from error
    except OSError as error:
        raise UserError(f"--output {folder} cannot be written ({error.strerror}): name another folder.") from error
    return f"{name} at {model.sample_rate:,} Hz, {_parameters(model):,} parameters"


def _network(name: str, arrays: Mapping[str, np.ndarray]) -> dict[str, object]:
    """The arguments of `DualEncoder` that make its encoder and front end PANNs'.

    Raises:
        ValueError: if the file's front end is not the one they make.
    """
    if catalog.find_encoder(name).waveform:
        return _both_branches("waveform", name) | {"sample_rate": _WAVEFORM_RATE}
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
    front_end = FrontEndOptions(
        window_seconds=fft_length / sample_rate, mel_scale="slaney", log="decibel", floor=1e-10, centre=True, **shape
    )
    return _both_branches("log_mel", name) | {
        "sample_rate": sample_rate,
        "n_mels": bands,
        "front_end": dataclasses.asdict(front_end),
    }


def _both_branches(form: str, name: str) -> dict[str, object]:
    return {"formats": (form, form), "encoders": {form: name}, "norm": "batch", "padding": "valid"}


def _check_crop(network: Mapping, *, seconds: float) -> None:
    if not math.isfinite(seconds):
        raise UserError(f"--crop-seconds {seconds} is not a length: give seconds.")
    checked = {key: value for key, value in network.items() if key not in ("norm", "front_end")}
    try:
        catalog.check_inputs(**checked, front_end=FrontEndOptions.of(network.get("front_end", {})), seconds=seconds)
    except ValueError as error:
        raise UserError(f"--crop-seconds {seconds:g}: {error}.") from error


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
