"""The SavedModel in `hub.KerasLayer`. TensorFlow Hub and the Keras 2 that it needs are unpacked, not installed."""

import json
import os
import subprocess
import sys

import pytest

from tests.diptych import wheels

_SCRIPT = """
import json, sys
import numpy as np
import tensorflow_hub as hub
import tf_keras

layer = hub.KerasLayer(sys.argv[1], trainable=True, input_shape=(None,), dtype="float32")
model = tf_keras.Sequential([layer, tf_keras.layers.Dense(2)])
audio = np.random.default_rng(0).uniform(-0.1, 0.1, (4, 9000)).astype(np.float32)
before = model(audio).shape, [weight.numpy() for weight in layer.trainable_weights]
model.compile(tf_keras.optimizers.Adam(1e-3), tf_keras.losses.SparseCategoricalCrossentropy(from_logits=True))
model.fit(audio, np.array([0, 1, 0, 1]), batch_size=4, epochs=1, verbose=0)
moved = [np.abs(weight.numpy() - old).max() > 0 for weight, old in zip(layer.trainable_weights, before[1])]
print(json.dumps({"shape": list(before[0]), "weights": len(moved), "moved": int(sum(moved))}))
"""


@pytest.mark.slow
def test_a_layer_of_tensorflow_hub_trains_it_further(saved_model, served, tmp_path):
    unpacked = [wheels.unpacked(name, tmp_path) for name in ("tensorflow_hub==0.16.1", "tf_keras==2.17.0")]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(map(str, unpacked))}
    command = [sys.executable, "-c", _SCRIPT, saved_model]
    done = subprocess.run(command, env=environment, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    count = len(served.trainable_variables)
    assert json.loads(done.stdout.splitlines()[-1]) == {"shape": [4, 2], "weights": count, "moved": count}
