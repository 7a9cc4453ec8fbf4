"""Writes a classifier and the model that embeds for it as one SavedModel, which takes audio."""

import json
import os
import pathlib
import subprocess
import sys
import tempfile

import numpy as np
import tensorflow as tf
from etils import epath

from beam_jobs import storage
from components.embedding_info import EmbeddingInfo
from components.errors import UserError
from pipeline.vectors.head import serve_once
from pipeline.vectors.head.training import Head

_SIGNATURES = ("serving_default", "windows")
_TOLERANCE = 1e-4
_CHECKED_S = 2.3


class _Classifier(tf.Module):
    """A model of Diptych with a head on top.

    Args:
        model: The SavedModel as it was loaded.
        head: The head.
        embeddings: Names of the model's outputs that the head classifies, side by side.
        classes: A JSON file with the names of the classes.
    """

    def __init__(self, model: tf.Module, head: Head, *, embeddings: tuple[str, ...], classes: str):
        super().__init__()
        self._model = model
        self._embeddings = embeddings
        self._activation = tf.nn.softmax if head.activation == "softmax" else tf.nn.sigmoid
        self.kernel = tf.Variable(head.kernel, trainable=False, name="kernel")
        self.bias = tf.Variable(head.bias, trainable=False, name="bias")
        self.classes = tf.saved_model.Asset(classes)

    def signature(self, name: str) -> tf.types.experimental.ConcreteFunction:
        """Returns the function behind one of `_SIGNATURES`."""

        @tf.function(input_signature=[tf.TensorSpec((None, None), tf.float32, name="audio")], autograph=False)
        def classify(audio: tf.Tensor) -> dict[str, tf.Tensor]:
            outputs = self._model.signatures[name](audio=audio)
            embedding = tf.concat([outputs[output] for output in self._embeddings], axis=-1)
            logits = tf.tensordot(embedding, self.kernel, axes=1) + self.bias
            return {"scores": self._activation(logits), "embedding": embedding}

        return classify.get_concrete_function()


def write(head: Head, folder: pathlib.Path, *, saved_model: str, embeddings: tuple[str, ...]) -> None:
    """Writes the SavedModel.

    The signature `serving_default` takes `audio`, float32 (batch, samples) in [-1, 1] at the model's sample rate, and
    returns `scores`, (batch, classes), and `embedding`, (batch, dim). `windows` returns both for each window of a clip:
    (batch, windows, classes) and (batch, windows, dim). `assets/classes.json` lists the classes.

    Args:
        head: The classifier.
        folder: Becomes the SavedModel.
        saved_model: Folder of the SavedModel that embeds.
        embeddings: Names of its outputs that the head classifies, side by side.
    """
    with tempfile.TemporaryDirectory() as assets, storage.without_wildcards(saved_model) as readable:
        classes = os.path.join(assets, "classes.json")
        pathlib.Path(classes).write_text(json.dumps(head.classes))
        module = _Classifier(tf.saved_model.load(readable), head, embeddings=embeddings, classes=classes)
        signatures = {name: module.signature(name) for name in _SIGNATURES}
        tf.saved_model.save(module, os.fspath(folder), signatures=signatures)


def check(head: Head, folder: pathlib.Path, *, saved_model: str, embeddings: tuple[str, ...]) -> None:
    """Calls the SavedModel in a fresh process that has TensorFlow alone, and compares what it returns.

    Args:
        head: The classifier.
        folder: The SavedModel of the head.
        saved_model: That of the model.
        embeddings: See `write`.

    Raises:
        UserError: The fresh process fails, or returns other scores than the head gives to the model's embeddings.
    """
    info = EmbeddingInfo.read(epath.Path(saved_model))
    audio = np.random.default_rng(0).uniform(-0.1, 0.1, (2, round(_CHECKED_S * info.crop_samples))).astype(np.float32)
    with tempfile.TemporaryDirectory() as temporary, storage.without_wildcards(folder) as readable:
        audio_file, results_file = f"{temporary}/audio.npy", f"{temporary}/results.npz"
        np.save(audio_file, audio)
        command = [sys.executable, serve_once.__file__, readable, audio_file, results_file]
        process = subprocess.run(command, capture_output=True, text=True, check=False)
        if process.returncode:
            last = (process.stderr.strip().splitlines() or [f"exit status {process.returncode}"])[-1]
            raise UserError(f"the head cannot be used in a fresh process ({last}): free some memory and try again.")
        with np.load(results_file) as file:
            served = dict(file)
    with storage.without_wildcards(saved_model) as readable:
        model = tf.saved_model.load(readable)
    for name in _SIGNATURES:
        outputs = model.signatures[name](audio=tf.constant(audio))
        vectors = np.concatenate([outputs[output].numpy() for output in embeddings], axis=-1)
        scores = head.scores(vectors.reshape(-1, vectors.shape[-1])).reshape(*vectors.shape[:-1], -1)
        for output, expected in (("embedding", vectors), ("scores", scores)):
            largest = np.abs(expected).max()
            difference = np.abs(served[f"{name}/{output}"] - expected).max() / max(largest, 1e-9)
            if not difference <= _TOLERANCE:
                raise UserError(
                    f"the saved head gives other {output} than the model and the head do (signature {name}, difference "
                    f"{difference:.1e}): this is no error of yours; please report it."
                )
