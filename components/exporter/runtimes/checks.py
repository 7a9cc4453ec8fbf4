"""The InfraValidator's verdict on a file for another runtime, which a fresh process executes.

What the file does wrong is a failed check. A process that was killed, took too long or ran out of memory says nothing
about the file: this is an error, and the next run checks again.
"""

import dataclasses
import os
import pathlib
import sys
import tempfile
from collections.abc import Mapping

import numpy as np
from etils import epath

from components.exporter import fresh_process
from components.exporter.infra_validator import Check
from components.exporter.runtimes import run_once
from components.exporter.runtimes.variants import Variant

_SCRIPT = pathlib.Path(run_once.__file__)
_TIMEOUT_SECONDS = 3600

LOWEST_COSINE = {"fp32": 0.999, "fp16": 0.999, "int8": 0.95}
"""The least cosine, in the mean over the windows, between the embeddings of a file and of the SavedModel."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Measured:
    """What a file does.

    Attributes:
        check: The verdict.
        embedding: float32 (windows, dim); None if the file failed before, or has other outputs.
        ms: Median processor time of a window, in milliseconds.
    """

    check: Check
    embedding: np.ndarray | None = None
    ms: float = 0.0


def check(
    variant: Variant,
    file: epath.Path,
    *,
    windows: np.ndarray,
    expected: Mapping[str, np.ndarray],
    tolerance: float | None,
) -> Measured:
    """Embeds windows with a file in a fresh process, without TensorFlow, and compares the embeddings.

    Args:
        variant: Which file it is.
        file: The file.
        windows: int16 (windows, samples).
        expected: Name of an embedding -> the SavedModel's, (windows, dim).
        tolerance: Largest difference allowed in 32 bits, as a share of the largest embedding value. None if the
            SavedModel itself computes in fewer bits; then the cosine counts.

    Raises:
        UserError: The fresh process could not do its work, which says nothing about the file.
    """
    try:
        results = _run(variant, file, windows)
    except fresh_process.ModelError as error:
        return Measured(check=Check(False, f"it fails: {error}"))
    outputs = {name.removeprefix("outputs/"): results[name] for name in results if name.startswith("outputs/")}
    shapes, expected_shapes = ({name: values.shape for name, values in of.items()} for of in (outputs, expected))
    if shapes != expected_shapes:
        return Measured(check=Check(False, f"has the outputs {shapes}, not {expected_shapes}"))
    return Measured(
        check=_compare(variant, outputs, results, expected=expected, tolerance=tolerance),
        embedding=outputs["embedding"],
        ms=float(results["ms"]),
    )


def cosines(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Returns the cosine of each pair of rows, float64 (rows,); 1 for two rows of zeros."""
    a, b = a.astype(np.float64), b.astype(np.float64)
    norms = np.linalg.norm(a, axis=1) * np.linalg.norm(b, axis=1)
    equal = (a == b).all(axis=1).astype(np.float64)
    return np.divide((a * b).sum(axis=1), norms, out=equal, where=norms > 0)


def _compare(
    variant: Variant,
    outputs: Mapping[str, np.ndarray],
    results: Mapping[str, np.ndarray],
    *,
    expected: Mapping[str, np.ndarray],
    tolerance: float | None,
) -> Check:
    everything = [*outputs.values(), *(results[f"silence/{name}"] for name in outputs)]
    if not all(np.isfinite(values).all() for values in everything):
        return Check(False, "an embedding is not finite")
    if not np.array_equal(results["again"], outputs["embedding"][:1]):
        return Check(False, "a window has another embedding when it is embedded again after others")
    if variant.precision == "fp32" and tolerance is not None:
        scale = max(float(np.abs(values).max()) for values in expected.values()) or 1.0
        worst = max(float(np.abs(outputs[name] - expected[name]).max()) for name in expected) / scale
        return Check(worst <= tolerance, f"largest difference {worst:.1e} of the largest value")
    mean = float(cosines(outputs["embedding"], expected["embedding"]).mean())
    least = LOWEST_COSINE[variant.precision]
    detail = f"mean cosine {mean:.4f}, at least {least}"
    if mean < least:
        detail = f"mean cosine {mean:.4f}, below {least}: leave {variant.name} out of exporter.formats"
    return Check(mean >= least, detail)


def _run(variant: Variant, file: epath.Path, windows: np.ndarray) -> dict[str, np.ndarray]:
    """Runs `run_once.py` and returns its results.

    Raises:
        fresh_process.ModelError: The file fails.
        UserError: The process was killed, took too long, ran out of memory or could not start.
    """
    with tempfile.TemporaryDirectory() as folder:
        model = os.path.join(folder, os.path.basename(variant.file))
        epath.Path(model).write_bytes(file.read_bytes())  # The file may lie in a bucket.
        windows_file, results_file = f"{folder}/windows.npy", f"{folder}/results.npz"
        np.save(windows_file, windows)
        fresh_process.run(
            [sys.executable, os.fspath(_SCRIPT), model, windows_file, results_file],
            subject=variant.name,
            timeout_s=_TIMEOUT_SECONDS,
            ways_out=(
                "run the same command again when this machine has less to do, or lower exporter.parity_clips",
                "free memory, or lower exporter.parity_clips, and run the same command again",
            ),
        )
        with np.load(results_file) as results:
            return dict(results)
