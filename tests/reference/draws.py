"""Weights and inputs of the reference networks, drawn from their seeds."""

import functools
import json
import math
import pathlib
import zlib
from collections.abc import Sequence

import numpy as np

_SEED = 2020  # Of the weights.
_INPUT_SEED = 7
# Length -> shape of two log-mel spectrograms or waveforms, in the order in which they were drawn.
_INPUTS = {
    "T96": (2, 1, 96, 80),
    "T101": (2, 1, 101, 80),
    "L48000": (2, 48000),
    "L24000": (2, 24000),
    "L20476": (2, 20476),
    "L16000": (2, 16000),
}


@functools.cache
def _networks() -> dict[str, dict]:
    return json.loads((pathlib.Path(__file__).parent / "tensors.json").read_text())


def tensors(name: str) -> list[tuple[str, str, list[int]]]:
    """Returns the name, kind and PyTorch shape of a network's tensors."""
    return [tuple(tensor) for tensor in _networks()[name]["tensors"]]


def torch_weights(name: str) -> dict[str, np.ndarray]:
    """Returns PANNs tensor name -> array, kernels in PyTorch's layout."""
    seeded_as = _networks()[name]["weights_of"]
    return {tensor: draw(seeded_as, tensor, kind, shape) for tensor, kind, shape in tensors(name)}


def draw(network: str, tensor: str, kind: str, shape: Sequence[int]) -> np.ndarray:
    """Draws a tensor. Its name is in its seed, so that the order of the tensors does not matter."""
    random = np.random.RandomState(zlib.crc32(f"{_SEED}|{network}|{tensor}".encode()))
    if kind == "conv_kernel":
        array = random.standard_normal(shape) * np.sqrt(2.0 / math.prod(shape[1:]))
    elif kind in ("norm_gamma", "bn_var"):
        array = random.uniform(0.5, 1.5, shape)
    elif kind == "norm_gamma_residual":  # The last one of a residual block, which starts as 0 in training.
        array = random.uniform(0.2, 0.6, shape)
    else:
        array = 0.1 * random.standard_normal(shape)  # norm_beta, bn_mean
    return array.astype(np.float32)


@functools.cache
def inputs() -> dict[str, np.ndarray]:
    """Returns length -> two log-mel spectrograms `(2, 1, frames, bands)` or two waveforms `(2, samples)`."""
    random = np.random.RandomState(_INPUT_SEED)
    noise = {length: random.standard_normal(shape) for length, shape in _INPUTS.items()}
    return {key: (x * 3.0 - 4.0 if x.ndim == 4 else x * 0.1).astype(np.float32) for key, x in noise.items()}
