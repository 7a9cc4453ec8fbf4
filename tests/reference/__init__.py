"""Vectors of the reference networks, losses and front ends, against which the tests compare ours.

The vectors come from an implementation of its own in PyTorch, computed in float64: PANNs' published networks (Kong et
al. 2020) up to their global pooling, the convolution stacks, NT-Xent, log-mels of librosa and TensorFlow, and average
precisions and areas under ROC curves.
`vectors/` holds what the tests compare, in float32 where they allow for its rounding. `python -m tests.reference.trim`
has selected it. Weights and inputs of the networks are drawn again from their seeds (`draws.py`).
"""

import pathlib

import numpy as np

from tests.reference.draws import inputs, tensors, torch_weights

__all__ = ["fixture", "inputs", "relative_distance", "relative_error", "tensors", "torch_weights"]

VECTORS = pathlib.Path(__file__).parent / "vectors"


def fixture(name: str) -> dict[str, np.ndarray]:
    """Returns the vectors of a network with its inputs, or those of `logmel`, `map` or `ntxent`."""
    with np.load(VECTORS / f"{name}.npz") as file:
        vectors = dict(file)
    lengths = [key.removeprefix("eval_f64_") for key in vectors if key.startswith("eval_f64_")]
    return vectors | {f"input_{length}": array for length, array in inputs().items() if length in lengths}


def relative_error(actual, expected) -> float:
    """Returns the largest difference, as a share of the largest expected value."""
    return float(np.abs(np.asarray(actual) - expected).max() / np.abs(expected).max())


def relative_distance(actual, expected) -> float:
    """Returns the distance as a share of the expected vector's length, for vectors whose single entries may differ."""
    return float(np.linalg.norm(np.asarray(actual) - expected) / np.linalg.norm(expected))
