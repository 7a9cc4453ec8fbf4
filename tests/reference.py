"""Weights and vectors of the reference networks. They lie outside the repository, and tests skip without them."""

import importlib.util
import pathlib

import numpy as np
import pytest

FOLDER = pathlib.Path(__file__).parents[2] / "shared" / "reference"
needs_reference = pytest.mark.skipif(not FOLDER.exists(), reason=f"no reference vectors in {FOLDER}")


def fixture(name: str) -> dict[str, np.ndarray]:
    with np.load(FOLDER / "fixtures" / f"{name}.npz") as file:
        return dict(file)


def torch_weights(name: str) -> dict[str, np.ndarray]:
    """Returns PANNs tensor name -> array, kernels in PyTorch's layout."""
    spec = importlib.util.spec_from_file_location("reference_weights", FOLDER / "weights.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.load(name, layout="torch")


def relative_error(actual, expected) -> float:
    """Returns the largest difference, as a share of the largest expected value."""
    return float(np.abs(np.asarray(actual) - expected).max() / np.abs(expected).max())


def relative_distance(actual, expected) -> float:
    """Returns the distance as a share of the expected vector's length, for vectors whose single entries may differ."""
    return float(np.linalg.norm(np.asarray(actual) - expected) / np.linalg.norm(expected))
