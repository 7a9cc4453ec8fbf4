"""Google's speech_embedding (Lin et al. 2020), read out of the wheel of pyopen-wakeword without installing it.

The wheel's wake words are not used.
"""

import dataclasses

import numpy as np
import tensorflow as tf

from beam_jobs.embedding.embedder import Framing
from components.embedder.baselines import options, packages, tflite
from components.embedder.baselines.function_embedder import FunctionEmbedder, at_sample_rate

_SAMPLE_RATE = 16000
_FRAME, _HOP = 512, 160  # Samples of the spectrogram's frames.
_FRAMES, _STEP = 76, 8  # Frames of an input of the network, and from one input to the next: 0.78 s and 80 ms.
_SHORTEST = _FRAME + (_FRAMES - 1) * _HOP
_INT16 = 32768.0  # The spectrogram takes samples with the values of int16.
_NAME = "speech_embedding"


def load(package: str, *, compared: Framing) -> FunctionEmbedder:
    """Returns an embedder whose vectors are means over a window: the network has one for every 80 ms.

    Args:
        package: The wheel, or a folder with its two models.
        compared: The windows of the compared model. Shorter ones than 0.78 s are made that long.

    Raises:
        UserError: A model is missing or damaged.
    """
    contents = packages.read(package, options.SPEECH_FILES)
    spectrogram, network = (
        tflite.open_model(content, source=f"{name} of {package}")
        for name, content in zip(options.SPEECH_FILES, contents, strict=True)
    )
    framing = at_sample_rate(compared, _SAMPLE_RATE)
    framing = dataclasses.replace(framing, window_samples=max(framing.window_samples, _SHORTEST))

    def embed(windows: np.ndarray) -> dict[str, np.ndarray]:
        # One window at a time: the spectrogram has no value that is 80 dB below the loudest one in its batch.
        decibels = [_only_output(spectrogram, window[None] * np.float32(_INT16)) for window in windows]
        # The scales of the network: (windows, 1, frames, bands) becomes (windows, frames, bands, 1).
        frames = np.concatenate(decibels)[:, 0, :, :, None] / 10 + 2
        starts = range(0, frames.shape[1] - _FRAMES + 1, _STEP)
        inputs = np.concatenate([frames[:, start : start + _FRAMES] for start in starts])
        vectors = _only_output(network, inputs)  # (starts * windows, 1, 1, dim)
        return {_NAME: vectors.reshape(len(starts), len(windows), -1).mean(axis=0)}

    return FunctionEmbedder(embed, framing=framing, source=f"{_NAME} of {package}")


def _only_output(interpreter: tf.lite.Interpreter, values: np.ndarray) -> np.ndarray:
    (output,) = tflite.run(interpreter, values).values()
    return output
