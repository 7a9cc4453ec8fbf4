"""InfraValidator: checks that a server without our code can load the SavedModel and gets the right embeddings.

A fresh process that imports TensorFlow and NumPy only loads the SavedModel and embeds a few clips (`serve_once.py`).
Its embeddings are compared with those of the Keras model in this process. Both compute on the CPU: this process already
holds the memory of the GPUs, and a TPU belongs to one process at a time.

The clips are cut to a few sub-clips and embedded a few at a time, so that the check takes the same memory for clips of
an hour. They are also put together to one clip with more sub-clips than the SavedModel embeds at once. The golden
vectors that travel with the SavedModel are computed again, in a batch and one by one, and its function `metadata` must
say what the file says. What the model does wrong is a failed check. A process that was killed, took too long or ran out
of memory says nothing about the model: this is an error, and the next run checks again.
"""

import dataclasses
import os
import pathlib
import sys
import tempfile
from collections.abc import Mapping

import numpy as np
import tensorflow as tf
from etils import epath

from beam_jobs import examples, storage
from beam_jobs.audio import pcm
from components import embedding_info
from components.exporter import fresh_process, golden, portions, serve_once
from models import subclip_starts, subclips
from models.dual import DualEncoder

_SCRIPT = pathlib.Path(serve_once.__file__)
_TIMEOUT_SECONDS = 600
_SUBCLIPS = 4  # Sub-clips of a clip that are checked.

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


class _ModelError(Exception):
    """The SavedModel fails a check in the fresh process.

    Attributes:
        check: The name of the check.
    """

    def __init__(self, check: str, reason: str):
        super().__init__(reason)
        self.check = check


def read_clips(examples_dir: epath.Path, *, count: int, crop_samples: int) -> np.ndarray:
    """Reads the beginnings of the first clips of the examples and cuts them to the length of the shortest.

    Args:
        examples_dir: The examples.
        count: Maximum number of clips.
        crop_samples: Length of a sub-clip. A clip is cut to four of them, which overlap.

    Returns:
        float32 (clips, samples) in [-1, 1].
    """
    longest = crop_samples + (_SUBCLIPS - 1) * subclip_starts.half_crop(crop_samples)
    clips: list[np.ndarray] = []
    for split in examples.read_info(examples_dir).splits:
        dataset = examples.dataset(examples_dir, split).take(count - len(clips))
        # Copied, so that the rest of a long clip does not stay in memory.
        clips.extend(clip["audio"][:longest].copy() for clip in dataset.as_numpy_iterator())
    shortest = min(clip.size for clip in clips)
    return pcm.to_float(np.stack([clip[:shortest] for clip in clips]))


def validate(
    saved_model: epath.Path,
    *,
    audio: np.ndarray,
    reference: DualEncoder,
    tolerance: float,
    python: epath.PathLike = sys.executable,
) -> InfraBlessing:
    """Embeds clips with a SavedModel in a fresh process and compares the embeddings with the Keras model's.

    Args:
        saved_model: Folder of the SavedModel.
        audio: float32 (clips, samples) in [-1, 1].
        reference: The model that was exported.
        tolerance: Largest difference allowed, as a share of the largest embedding value.
        python: The interpreter of the fresh process. It needs TensorFlow and NumPy only.

    Raises:
        UserError: The fresh process could not do its work, which says nothing about the model.
    """
    stride = subclip_starts.half_crop(reference.crop_samples)
    long_samples = reference.crop_samples + portions.windows_at_a_time(reference.crop_samples) * stride
    loads = Check(True, "in a fresh process, without our code")
    try:
        served = _serve_once(saved_model, audio, long_samples=long_samples, python=python)
    except _ModelError as error:
        return InfraBlessing(checks={"loads": loads, error.check: Check(False, str(error))})
    with tf.device("CPU:0"):  # As the fresh process: a GPU's own rounding would count as a difference.
        expected = _embed_in_batches(reference, audio)
        expected_of_long = _embed_subclips(reference, np.resize(audio, (1, long_samples)))
    checks = {"loads": loads}
    checks.update(_compare(served, expected, expected_of_long=expected_of_long, tolerance=tolerance))
    if "metadata" in served:  # Otherwise the check of the outputs says what is missing.
        same = served["metadata"].item() == (saved_model / embedding_info.FILE).read_bytes()
        checks["metadata"] = Check(
            same, f"the function metadata {'says' if same else 'does not say'} what the file says"
        )
    latency_ms = {
        name.removeprefix("ms/"): round(float(value), 2) for name, value in served.items() if name.startswith("ms/")
    }
    return InfraBlessing(checks=checks, latency_ms=latency_ms)


def _embed_in_batches(model: DualEncoder, audio: np.ndarray) -> dict[str, np.ndarray]:
    starts = range(0, len(audio), serve_once.CLIPS_AT_A_TIME)
    batches = [subclips.embed_clips(model, audio[start : start + serve_once.CLIPS_AT_A_TIME]) for start in starts]
    return {name: np.concatenate([np.asarray(batch[name]) for batch in batches]) for name in batches[0]}


def _embed_subclips(model: DualEncoder, audio: np.ndarray) -> dict[str, np.ndarray]:
    """Embeds a long clip, a few of its sub-clips at a time.

    Returns:
        Name of the embedding -> (1, dim), the mean over the sub-clips.
    """
    crop = model.crop_samples
    parts = subclips.split_into_subclips(audio, crop=crop, stride=subclip_starts.half_crop(crop))  # (1, subclips, crop)
    embedded = _embed_in_batches(model, np.asarray(parts)[0])
    return {name: values.mean(axis=0, keepdims=True) for name, values in embedded.items()}


def _serve_once(
    saved_model: epath.Path, audio: np.ndarray, *, long_samples: int, python: epath.PathLike
) -> dict[str, np.ndarray]:
    """Runs `serve_once.py` and returns its results.

    Raises:
        _ModelError: The SavedModel cannot be loaded, lacks a signature, or one of its signatures fails.
        UserError: The process was killed, took too long, ran out of memory or could not start.
    """
    with tempfile.TemporaryDirectory() as folder, storage.without_wildcards(saved_model) as readable:
        audio_file, results_file = f"{folder}/audio.npy", f"{folder}/results.npz"
        np.save(audio_file, audio)
        command = [os.fspath(python), os.fspath(_SCRIPT), readable, audio_file, str(long_samples), results_file]
        try:
            fresh_process.run(
                command,
                subject="the SavedModel",
                timeout_s=_TIMEOUT_SECONDS,
                ways_out=(
                    "run the same command again when this machine has less to do",
                    "free memory, or lower exporter.validation_clips, and run the same command again",
                ),
                env={**os.environ, **_WITHOUT_ACCELERATORS},
            )
        except fresh_process.ModelError as error:
            check, _, reason = str(error).partition(": ")
            raise _ModelError(check, reason) from error
        with np.load(results_file) as results:
            return dict(results)


def _compare(
    served: Mapping[str, np.ndarray],
    expected: Mapping[str, np.ndarray],
    *,
    expected_of_long: Mapping[str, np.ndarray],
    tolerance: float,
) -> dict[str, Check]:
    """Checks the results of `serve_once.py`.

    Args:
        served: The results, see `serve_once.py`.
        expected: Name of an embedding -> (clips, dim), from the Keras model.
        expected_of_long: The same of the long clip, (1, dim).
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
    checks["long_clip"] = _check_close(
        [(served[f"long_clip/{name}"], expected_of_long[name]) for name in expected], scale=scale, tolerance=tolerance
    )
    checks["golden"] = _check_golden(served)
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


def _check_golden(served: Mapping[str, np.ndarray]) -> Check:
    parts = {
        part: {name.removeprefix(f"{part}/"): value for name, value in served.items() if name.startswith(f"{part}/")}
        for part in ("golden", "batch", "one_by_one")
    }
    # `np.max`, because Python's `max` may ignore a NaN.
    worst = float(np.max([golden.worst_difference(parts["golden"], parts[part]) for part in ("batch", "one_by_one")]))
    return Check(worst <= golden.TOLERANCE, f"largest difference {worst:.1e} of the largest value")


def _check_embedding(embedding: np.ndarray, *, dim: int) -> Check:
    if embedding.shape[-1] != dim:
        return Check(False, f"{embedding.shape[-1]} dimensions, not {dim}")
    if not np.isfinite(embedding).all():
        return Check(False, "not finite")
    return Check(True, "finite")
