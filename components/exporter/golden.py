"""Golden vectors: a few sounds and what the model makes of them, which travel with the SavedModel.

Whoever runs the SavedModel elsewhere, with another TensorFlow or on another device, can tell with them whether it
computes the same. `assets.extra/golden.npz` holds these arrays, with the sounds of `SOUNDS` in their order:

    audio              float32 (4, samples), a crop and a half of each sound, at the model's sample rate
    short_audio        float32 (4, samples), the first 0.1 s of them
    wav                uint8 (4, bytes), a WAV file of each sound, at another rate and in stereo
    SIGNATURE/OUTPUT   the output of each signature for the input that `serve_once.GOLDEN_INPUTS` names; that of calling
                       the model itself is `__call__/embedding`
"""

import hashlib
import io
from collections.abc import Mapping

import numpy as np
import tensorflow as tf

from components.exporter import serve_once, wav
from components.exporter.root import Root
from models import subclip_starts
from models.dual import DualEncoder

SOUNDS = ("silence", "noise", "sine", "chirp")

TOLERANCE = 1e-5
"""Largest difference allowed, as a share of the largest value of an embedding."""

_SHORT_S = 0.1
_WAV_RATES = (44100, 48000)  # The first that is not the model's own.


def make(root: Root, model: DualEncoder) -> bytes:
    """Returns the content of `golden.npz`.

    Args:
        root: What is exported.
        model: The model behind it.
    """
    crop, rate = model.crop_samples, model.sample_rate
    audio = _sounds(crop + subclip_starts.half_crop(crop), rate)
    wav_rate = next(other for other in _WAV_RATES if other != rate)
    arrays = {
        "audio": audio,
        "short_audio": audio[:, : max(1, round(_SHORT_S * rate))],
        "wav": np.stack([_wav_file(sound, rate=wav_rate) for sound in _sounds(round(_SHORT_S * wav_rate), wav_rate)]),
    }
    # Traced outside of the scope of the device, which would else become part of what is exported.
    signatures = {name: function.get_concrete_function() for name, function in root.functions().items()}
    functions = serve_once.functions(signatures, root.traced_call(training=False))
    with tf.device("CPU:0"):  # A GPU rounds the factors of products.
        arrays |= serve_once.golden_outputs(functions, arrays)
    file = io.BytesIO()
    np.savez_compressed(file, **arrays)
    return file.getvalue()


def digest(content: bytes) -> str:
    """Returns the SHA-256 of the file, in hexadecimal digits."""
    return hashlib.sha256(content).hexdigest()


def worst_difference(golden: Mapping[str, np.ndarray], outputs: Mapping[str, np.ndarray]) -> float:
    """Returns the largest difference of a model's outputs, as a share of the largest value of an embedding; NaN if any.

    Args:
        golden: The arrays of the file.
        outputs: The same arrays as they were computed now.
    """
    names = [name for name in golden if "/" in name]
    if any(golden[name].shape != outputs[name].shape for name in names):
        return float("inf")
    scale = max(np.abs(golden[name]).max() for name in names if name.endswith("/embedding"))
    # `np.max`, because Python's `max` may ignore a NaN.
    return float(np.max([np.abs(golden[name] - outputs[name]).max() for name in names]) / scale)


def _sounds(samples: int, rate: int) -> np.ndarray:
    """Returns the sounds of `SOUNDS`, float32 (4, samples)."""
    time = np.arange(samples) / rate
    highest, seconds = 0.4 * rate, samples / rate
    sounds = [
        np.zeros(samples),
        np.random.default_rng(0).uniform(-0.5, 0.5, samples),
        0.5 * np.sin(2 * np.pi * 440 * time),
        0.5 * np.sin(np.pi * highest / seconds * time**2),
    ]
    return np.stack(sounds).astype(np.float32)


def _wav_file(sound: np.ndarray, *, rate: int) -> np.ndarray:
    stereo = np.round(np.stack([sound, 0.5 * sound], axis=1) * 2**15).astype(np.int16)
    return np.frombuffer(wav.encode(stereo, rate=rate), np.uint8)
