"""Runs a saved head once, as a server without Diptych's code does.

It is run as a script in a fresh process, and imports TensorFlow and NumPy only:

    python serve_once.py SAVED_MODEL AUDIO.npy RESULTS.npz

AUDIO.npy holds float32 (clips, samples) in [-1, 1]. RESULTS.npz gets `SIGNATURE/OUTPUT` for each signature.
"""

import sys

import numpy as np
import tensorflow as tf


def main(saved_model: str, audio_file: str, results_file: str) -> None:
    """Loads the SavedModel, calls its signatures and writes the results."""
    signatures = tf.saved_model.load(saved_model).signatures
    audio = tf.constant(np.load(audio_file))
    results = {}
    for name, signature in signatures.items():
        for output, values in signature(audio=audio).items():
            results[f"{name}/{output}"] = values.numpy()
    np.savez(results_file, **results)


if __name__ == "__main__":
    main(*sys.argv[1:])
