"""Runs a SavedModel once, as a server without Diptych's code does.

The InfraValidator runs this file as a script in a fresh process. It imports TensorFlow and NumPy only:

    python serve_once.py SAVED_MODEL AUDIO.npy RESULTS.npz

AUDIO.npy holds float32 (clips, samples) in [-1, 1]. RESULTS.npz gets these arrays:

    clips/NAME     each output of the signature serving_default, for all clips in one batch
    windows/NAME   each output of the signature windows, for all clips in one batch
    alone          `embedding` of each clip in a batch of its own
    silence        `embedding` of one silent clip
    short_clip     `embedding` of the first samples of the first clip
    ms/BATCH       latency in milliseconds of one_clip and of batch_of_N
"""

import sys
import time
from collections.abc import Callable

import numpy as np
import tensorflow as tf

_SHORT_SAMPLES = 1000
_REPEATS = 5


def main(saved_model: str, audio_file: str, results_file: str) -> None:
    """Loads the SavedModel, calls its signatures and writes the results."""
    signatures = tf.saved_model.load(saved_model).signatures
    embed, embed_windows = signatures["serving_default"], signatures["windows"]
    audio = np.load(audio_file)
    results = {f"clips/{name}": value.numpy() for name, value in embed(audio=tf.constant(audio)).items()}
    for name, value in embed_windows(audio=tf.constant(audio)).items():
        results[f"windows/{name}"] = value.numpy()

    def embedding(batch: np.ndarray) -> np.ndarray:
        return embed(audio=tf.constant(batch))["embedding"].numpy()

    results["alone"] = np.concatenate([embedding(clip[None]) for clip in audio])
    results["silence"] = embedding(np.zeros_like(audio[:1]))
    results["short_clip"] = embedding(audio[:1, :_SHORT_SAMPLES])
    results["ms/one_clip"] = _latency_ms(embedding, audio[:1])
    results[f"ms/batch_of_{len(audio)}"] = _latency_ms(embedding, audio)
    np.savez(results_file, **results)


def _latency_ms(embedding: Callable[[np.ndarray], np.ndarray], batch: np.ndarray) -> float:
    """Returns the median latency of a few calls. Every shape has been called before, so no call is the first one."""
    latencies = []
    for _ in range(_REPEATS):
        start = time.perf_counter()
        embedding(batch)
        latencies.append(1000 * (time.perf_counter() - start))
    return np.median(latencies)


if __name__ == "__main__":
    main(*sys.argv[1:])
