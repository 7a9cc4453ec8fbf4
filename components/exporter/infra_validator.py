"""InfraValidator: checks that a server without our code can load the SavedModel and gets the right embeddings.

A fresh process that imports TensorFlow and NumPy only loads the SavedModel and embeds a few clips (`serve_once.py`).
Its embeddings are compared with those of the Keras model in this process. Both compute on the CPU: this process already
holds the memory of the GPUs, and a TPU belongs to one process at a time.
"""

import dataclasses
import os
import pathlib
import subprocess
import sys
import tempfile
from collections.abc import Mapping

import numpy as np
import tensorflow as tf
from etils import epath

from beam_jobs import examples, storage
from beam_jobs.audio import pcm
from models import subclips
from models.dual import DualEncoder

_SCRIPT = pathlib.Path(__file__).with_name("serve_once.py")
_TIMEOUT_SECONDS = 600

_WITHOUT_ACCELERATORS = {
    "CUDA_VISIBLE_DEVICES": "-1",
    "HIP_VISIBLE_DEVICES": "-1",
    "ROCR_VISIBLE_DEVICES": "-1",
    "TPU_LIBRARY_PATH": os.devnull,
}
"""Environment of a process in which TensorFlow finds no GPU and no TPU: -1 names no device."""


@dataclasses.dataclass(frozen=True)
class Check:
    """The outcome of one check, with one line that explains it."""

    passed: bool
    detail: str


@dataclasses.dataclass(frozen=True, kw_only=True)
class InfraBlessing:
    """The content of `infra_blessing.json`.

    Attributes:
        checks: Name of a check -> its outcome.
        latency_ms: Size of a batch -> latency in milliseconds; empty if the SavedModel did not load.
    """

    checks: Mapping[str, Check]
    latency_ms: Mapping[str, float] = dataclasses.field(default_factory=dict)

    @property
    def failed(self) -> list[str]:
        """Names of the checks that failed."""
        return [name for name, check in self.checks.items() if not check.passed]

    @property
    def blessed(self) -> bool:
        """Whether all checks passed."""
        return not self.failed

    def to_dict(self) -> dict[str, object]:
        """Returns plain JSON values. `latency_ms` is absent if the SavedModel did not load."""
        checks = {name: dataclasses.asdict(check) for name, check in self.checks.items()}
        content: dict[str, object] = {"blessed": self.blessed, "checks": checks}
        if self.latency_ms:
            content["latency_ms"] = dict(self.latency_ms)
        return content


class _ServingError(Exception):
    """The fresh process could not load or run the SavedModel."""


def read_clips(examples_dir: epath.Path, *, count: int) -> np.ndarray:
    """Reads the first clips of the examples and cuts them to the length of the shortest.

    Args:
        examples_dir: The examples.
        count: Maximum number of clips.

    Returns:
        float32 (clips, samples) in [-1, 1].
    """
    clips: list[np.ndarray] = []
    for split in examples.read_info(examples_dir).splits:
        remaining = count - len(clips)
        dataset = examples.dataset(examples_dir, split).take(remaining)
        clips.extend(clip["audio"] for clip in dataset.as_numpy_iterator())
    shortest = min(clip.size for clip in clips)
    return pcm.to_float(np.stack([clip[:shortest] for clip in clips]))


def validate(saved_model: epath.Path, *, audio: np.ndarray, reference: DualEncoder, tolerance: float) -> InfraBlessing:
    """Embeds clips with a SavedModel in a fresh process and compares the embeddings with the Keras model's.

    Args:
        saved_model: Folder of the SavedModel.
        audio: float32 (clips, samples) in [-1, 1].
        reference: The model that was exported.
        tolerance: Largest difference allowed, as a share of the largest embedding value.
    """
    try:
        served = _serve_once(saved_model, audio)
    except _ServingError as error:
        return InfraBlessing(checks={"loads": Check(False, str(error))})
    with tf.device("CPU:0"):  # As the fresh process: a GPU's own rounding would count as a difference.
        expected = {name: np.asarray(value) for name, value in subclips.embed_clips(reference, audio).items()}
    checks = {"loads": Check(True, "in a fresh process, without our code")}
    checks.update(_compare(served, expected, tolerance=tolerance))
    latency_ms = {
        name.removeprefix("ms/"): round(float(value), 2) for name, value in served.items() if name.startswith("ms/")
    }
    return InfraBlessing(checks=checks, latency_ms=latency_ms)


def _serve_once(saved_model: epath.Path, audio: np.ndarray) -> dict[str, np.ndarray]:
    """Runs `serve_once.py` and returns its results.

    Raises:
        _ServingError: The process failed or took too long. The message is the last line that it printed to stderr.
    """
    with tempfile.TemporaryDirectory() as folder, storage.without_wildcards(saved_model) as readable:
        audio_file, results_file = f"{folder}/audio.npy", f"{folder}/results.npz"
        np.save(audio_file, audio)
        command = [sys.executable, os.fspath(_SCRIPT), readable, audio_file, results_file]
        try:
            process = subprocess.run(
                command,
                capture_output=True,
                text=True,
                timeout=_TIMEOUT_SECONDS,
                check=False,
                env={**os.environ, **_WITHOUT_ACCELERATORS},
            )
        except subprocess.TimeoutExpired as error:
            raise _ServingError(f"no answer within {_TIMEOUT_SECONDS} seconds") from error
        if process.returncode != 0:
            lines = process.stderr.strip().splitlines()
            raise _ServingError(lines[-1] if lines else f"exit status {process.returncode}")
        with np.load(results_file) as results:
            return dict(results)


def _compare(
    served: Mapping[str, np.ndarray], expected: Mapping[str, np.ndarray], *, tolerance: float
) -> dict[str, Check]:
    """Checks the results of `serve_once.py`.

    Args:
        served: The results, see `serve_once.py`.
        expected: Name of an embedding -> (clips, dim), from the Keras model.
        tolerance: See `validate`.
    """
    names = {name.removeprefix("clips/") for name in served if name.startswith("clips/")}
    checks = {"outputs": Check(names == set(expected), f"has {', '.join(sorted(names))}")}
    if not checks["outputs"].passed:
        return checks
    scale = max(float(np.max(np.abs(value))) for value in expected.values()) or 1.0
    embedding = served["clips/embedding"]
    checks["same_as_keras"] = _check_close(
        [(served[f"clips/{name}"], expected[name]) for name in expected], scale=scale, tolerance=tolerance
    )
    checks["mean_of_windows"] = _check_close(
        [(embedding, served["windows/embedding"].mean(axis=1))], scale=scale, tolerance=tolerance
    )
    checks["alone_as_in_a_batch"] = _check_close([(served["alone"], embedding)], scale=scale, tolerance=tolerance)
    dim = expected["embedding"].shape[-1]
    for name in ("silence", "short_clip"):
        checks[name] = _check_embedding(served[name], dim=dim)
    return checks


def _check_close(pairs: list[tuple[np.ndarray, np.ndarray]], *, scale: float, tolerance: float) -> Check:
    if any(a.shape != b.shape for a, b in pairs):
        return Check(False, f"shapes {[(a.shape, b.shape) for a, b in pairs]}")
    # `np.max`, because Python's `max` may ignore a NaN.
    worst = float(np.max([np.max(np.abs(a - b)) for a, b in pairs])) / scale
    return Check(worst <= tolerance, f"largest difference {worst:.1e} of the largest value")


def _check_embedding(embedding: np.ndarray, *, dim: int) -> Check:
    if embedding.shape[-1] != dim:
        return Check(False, f"{embedding.shape[-1]} dimensions, not {dim}")
    if not np.isfinite(embedding).all():
        return Check(False, "not finite")
    return Check(True, "finite")
