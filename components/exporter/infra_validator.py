"""InfraValidator: would a server that knows nothing of our code load this SavedModel and get the right embedding?

The SavedModel is loaded in a fresh process that imports TensorFlow and NumPy only (this file, run as a script), and
what it answers is compared with the Keras model in this process.
"""

import os
import subprocess
import sys
import tempfile
import time
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    import keras
    from etils import epath

_TIMEOUT_SECONDS = 600
_SHORT, _REPEATS = 1000, 5


def read_clips(examples_dir: "epath.Path", *, count: int) -> np.ndarray:
    """Reads the first `count` clips, cut to the shortest of them; float32 (clips, samples) in [-1, 1]."""
    from beam_jobs import examples
    from beam_jobs.audio import pcm

    splits = examples.read_info(examples_dir).splits
    clips = []
    for split in splits:
        wanted = count - len(clips)
        clips += [clip["audio"] for clip in examples.dataset(examples_dir, split).take(wanted).as_numpy_iterator()]
    shortest = min(clip.size for clip in clips)
    return pcm.to_float(np.stack([clip[:shortest] for clip in clips]))


def validate(
    saved_model: "epath.Path",
    *,
    audio: np.ndarray,
    reference: "keras.Model",
    tolerance: float,
) -> dict[str, Any]:
    """Loads the SavedModel in a fresh process and compares.

    Args:
        saved_model: Folder of the SavedModel.
        audio: float32 (clips, samples) in [-1, 1].
        reference: The model it was exported from.
        tolerance: Largest difference allowed, as a share of the largest value of an embedding.

    Returns:
        `{"blessed": bool, "checks": {name: {"passed": bool, "detail": str}}, "latency_ms": {name: float}}`; the
        latencies are absent if the SavedModel did not load.
    """
    from models import subclips

    try:
        got = _ask(saved_model, audio)
    except RuntimeError as error:
        return {"blessed": False, "checks": {"loads": _check(False, str(error))}}
    expected = {name: np.asarray(value) for name, value in subclips.embed_clips(reference, audio).items()}
    checks = {"loads": _check(True, "in a fresh process, without our code"), **_compare(got, expected, tolerance)}
    latency = {name.removeprefix("ms/"): round(float(got[name]), 2) for name in got if name.startswith("ms/")}
    return {"blessed": all(c["passed"] for c in checks.values()), "checks": checks, "latency_ms": latency}


def _ask(saved_model: "epath.Path", audio: np.ndarray) -> dict[str, np.ndarray]:
    """Runs `_answer` in a fresh process; RuntimeError with the last line of its complaint if it fails."""
    with tempfile.TemporaryDirectory() as folder:
        question, answer = f"{folder}/audio.npy", f"{folder}/answer.npz"
        np.save(question, audio)
        command = [sys.executable, __file__, os.fspath(saved_model), question, answer]
        try:
            done = subprocess.run(command, capture_output=True, text=True, timeout=_TIMEOUT_SECONDS, check=False)
        except subprocess.TimeoutExpired as error:
            raise RuntimeError(f"no answer within {_TIMEOUT_SECONDS} seconds") from error
        if done.returncode != 0:
            raise RuntimeError((done.stderr.strip().splitlines() or [f"exit status {done.returncode}"])[-1])
        with np.load(answer) as arrays:
            return dict(arrays)


def _compare(got: dict[str, np.ndarray], expected: dict[str, np.ndarray], tolerance: float) -> dict[str, dict]:
    keys = {name.removeprefix("clips/") for name in got if name.startswith("clips/")}
    checks = {"outputs": _check(keys == set(expected), f"has {', '.join(sorted(keys))}")}
    if not checks["outputs"]["passed"]:
        return checks
    scale = max(float(np.max(np.abs(value))) for value in expected.values()) or 1.0

    def close(pairs: list[tuple[np.ndarray, np.ndarray]]) -> dict:
        if any(a.shape != b.shape for a, b in pairs):
            return _check(False, f"shapes {[(a.shape, b.shape) for a, b in pairs]}")
        worst = max(float(np.max(np.abs(a - b))) for a, b in pairs) / scale
        return _check(worst <= tolerance, f"largest difference {worst:.1e} of the largest value")

    checks["same_as_keras"] = close([(got[f"clips/{name}"], expected[name]) for name in expected])
    checks["mean_of_windows"] = close([(got["clips/embedding"], got["windows/embedding"].mean(axis=1))])
    checks["alone_as_in_a_batch"] = close([(got["alone"], got["clips/embedding"])])
    for name in ("silence", "short_clip"):
        finite = bool(np.isfinite(got[name]).all()) and got[name].shape[-1] == expected["embedding"].shape[-1]
        checks[name] = _check(finite, "finite" if finite else "not finite")
    return checks


def _check(passed: bool, detail: str) -> dict:
    return {"passed": bool(passed), "detail": detail}


def _answer(saved_model: str, question: str, answer: str) -> None:
    """What the fresh process does. Latency is the median of a few calls after the first."""
    import tensorflow as tf

    signatures = tf.saved_model.load(saved_model).signatures
    embed, windows = signatures["serving_default"], signatures["windows"]
    audio = np.load(question)
    got = {f"clips/{name}": value.numpy() for name, value in embed(audio=tf.constant(audio)).items()}
    got |= {f"windows/{name}": value.numpy() for name, value in windows(audio=tf.constant(audio)).items()}
    # One loud neighbour must not move a clip, so each is compared with itself alone.
    got["alone"] = np.concatenate([embed(audio=tf.constant(clip[None]))["embedding"].numpy() for clip in audio])
    got["silence"] = embed(audio=tf.zeros_like(audio[:1]))["embedding"].numpy()
    got["short_clip"] = embed(audio=tf.constant(audio[:1, :_SHORT]))["embedding"].numpy()
    for name, batch in (("one_clip", audio[:1]), (f"batch_of_{len(audio)}", audio)):
        times = []
        for _ in range(_REPEATS):
            start = time.perf_counter()
            embed(audio=tf.constant(batch))["embedding"].numpy()
            times.append(1000 * (time.perf_counter() - start))
        got[f"ms/{name}"] = np.median(times)
    np.savez(answer, **got)


if __name__ == "__main__":
    _answer(*sys.argv[1:])
