"""The reference networks' weights and vectors, which lie outside the repository: tests of them skip without."""

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
    """Weights by PANNs name, kernels in torch's layout."""
    spec = importlib.util.spec_from_file_location("reference_weights", FOLDER / "weights.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.load(name, layout="torch")


def relative_error(found, expected) -> float:
    """Largest difference, as a share of the largest expected value."""
    return float(np.abs(np.asarray(found) - expected).max() / np.abs(expected).max())


def relative_distance(found, expected) -> float:
    """Distance as a share of the expected vector's length: of use where single entries may differ more."""
    return float(np.linalg.norm(np.asarray(found) - expected) / np.linalg.norm(expected))
