"""The SavedModel as other programs use it: called, trained further, and read by what travels with it."""

import hashlib
import inspect
import io
import json
import os
import pathlib
import re

import keras
import numpy as np
import pytest
import tensorflow as tf
from etils import epath
from tensorflow_serving.apis import prediction_log_pb2

from beam_jobs import examples
from components.embedding_info import ASSET, FILE, EmbeddingInfo
from components.exporter import description, golden, root, saved_model, serve_once, warm_up
from components.trainer import results
from components.trainer.config import TrainerConfig
from components.trainer.initial_model import InitialModel
from components.trainer.loop import Outcome
from components.trainer.validation_state import ValidationState
from models import dual
from models.config import ModelConfig
from tests.components import stored_examples

RATE = 16000


def _noise(clips, samples, seed=0):
    return np.random.default_rng(seed).uniform(-0.1, 0.1, (clips, samples)).astype(np.float32)


@pytest.fixture(scope="module")
def trained_further(saved_model):
    """The SavedModel, loaded for the tests that change its variables."""
    return tf.saved_model.load(saved_model)


def test_the_root_is_a_reusable_saved_model(exported, served):
    model, _ = exported
    assert callable(served)
    assert "training" in inspect.getfullargspec(served.__call__).args
    encoders = model.encoders.values()
    assert len(served.variables) == sum(len(encoder.variables) for encoder in encoders)
    assert len(served.trainable_variables) == sum(len(encoder.trainable_variables) for encoder in encoders)
    assert all(any(variable is other for other in served.variables) for variable in served.trainable_variables)
    assert all(variable.trainable for variable in served.trainable_variables)
    assert list(served.regularization_losses) == []
    assert served(_noise(2, 9000)).dtype == tf.float32


@pytest.mark.parametrize("training", [pytest.param(False, marks=pytest.mark.slow), True])
def test_gradients_reach_every_trainable_variable(trained_further, training):
    variables = trained_further.trainable_variables
    with tf.GradientTape() as tape:
        # In training all windows go through the encoders at once; otherwise these are more than do.
        embedding = trained_further(_noise(2 if training else 20, 17000), training=training)
        loss = tf.reduce_sum(tf.square(embedding))
    for variable, gradient in zip(variables, tape.gradient(loss, variables), strict=True):
        assert gradient is not None, variable.name
        assert np.isfinite(gradient).all()
        assert np.abs(gradient).max() > 0, variable.name


@pytest.mark.slow
def test_gradients_are_those_of_the_model(exported, saved_model):
    model, _ = exported
    served, audio = tf.saved_model.load(saved_model), _noise(2, 8000)  # One window each.
    gradients = []
    for embed, variables in (
        (served, served.trainable_variables),
        (
            lambda audio: tf.concat(list(model.embed(audio).values()), axis=-1),
            [variable.value for encoder in model.encoders.values() for variable in encoder.trainable_variables],
        ),
    ):
        with tf.GradientTape() as tape:
            loss = tf.reduce_sum(tf.square(embed(audio)))
        gradients.append(tape.gradient(loss, variables))
    for actual, expected in zip(*gradients, strict=True):
        np.testing.assert_allclose(actual, expected, atol=1e-4 * np.abs(expected).max())


def test_training_changes_the_running_statistics_and_the_answers(trained_further):
    audio = _noise(4, 17000)
    before = trained_further(audio)
    assert np.abs(trained_further(audio, training=True) - before).max() > 1e-3
    assert np.abs(trained_further(audio) - before).max() > 1e-4


@pytest.mark.slow
def test_a_head_learns_more_with_the_encoder_than_on_it(saved_model):
    train, test = _corpus(48, seed=0), _corpus(48, seed=1)
    losses = {}
    for unfrozen in (False, True):
        keras.utils.set_random_seed(0)
        served, head = tf.saved_model.load(saved_model), keras.layers.Dense(4)
        head.build((None, 32))
        _train(served, head, train, unfrozen=unfrozen)
        losses[unfrozen] = float(LOSS(test[1], head(served(test[0]))))
    assert losses[True] < losses[False] - 0.1


@pytest.mark.slow
def test_the_example_of_the_page_trains_head_and_encoders(saved_model):
    page = (pathlib.Path(root.__file__).parent / "README.md").read_text()
    (code,) = (
        block for block in re.findall(r"^```python\n(.*?)^```", page, re.DOTALL | re.MULTILINE) if "Tape" in block
    )
    keras.utils.set_random_seed(0)
    batch, names = _corpus(16, seed=0), {}
    folder = "runs/tiny/artifacts/Exporter/saved_model/5"
    assert folder in code
    exec(code.replace(folder, saved_model), names | {"batches": [batch] * 200}, names)
    untrained = tf.saved_model.load(saved_model).trainable_variables
    for variable, before in zip(names["model"].trainable_variables, untrained, strict=True):
        assert np.abs(variable - before).max() > 0, variable.name
    assert names["loss"] < np.log(50) / 2


LOSS = keras.losses.SparseCategoricalCrossentropy(from_logits=True)


def _train(served, head, corpus, *, unfrozen):
    variables = [variable.value for variable in head.trainable_variables]
    variables += served.trainable_variables if unfrozen else []
    optimizer = keras.optimizers.Adam(3e-3)
    optimizer.build(variables)

    @tf.function(autograph=False)
    def step(clips, classes):
        with tf.GradientTape() as tape:
            loss = LOSS(classes, head(served(clips, training=False)))
        optimizer.apply(tape.gradient(loss, variables), variables)

    for _ in range(15):
        step(*corpus)


def _corpus(clips, seed):
    """Returns tones of four pitches in noise, and the number of the pitch."""
    rng = np.random.default_rng(seed)
    classes = rng.integers(0, 4, clips)
    hz = 400 * 2.0**classes * rng.uniform(0.9, 1.1, clips)
    tones = np.sin(2 * np.pi * hz[:, None] * np.arange(8000) / RATE)
    return (0.3 * tones + rng.normal(0, 0.1, tones.shape)).astype(np.float32), classes


@pytest.mark.slow
@pytest.mark.parametrize("endpoint", ["inputs", "windows"])
def test_it_is_a_layer_of_keras(saved_model, served, endpoint):
    layer, audio = keras.layers.TFSMLayer(saved_model, call_endpoint=endpoint), _noise(2, 9000)
    with tf.GradientTape() as tape:
        outputs = layer(audio)
        loss = tf.reduce_sum(outputs["embedding"])
    name = "inputs" if endpoint == "inputs" else "audio"
    expected = served.signatures[endpoint](**{name: tf.constant(audio)})
    assert set(outputs) == set(expected)
    for name, values in expected.items():
        np.testing.assert_allclose(outputs[name], values, atol=1e-6)
    assert len(layer.trainable_weights) == len(served.trainable_variables)
    assert None not in tape.gradient(loss, [weight.value for weight in layer.trainable_weights])


@pytest.mark.slow
def test_it_is_saved_again_within_another_model(served, tmp_path):
    outer = tf.Module()
    outer.inner = served
    outer.twice = tf.function(
        lambda waveform: 2 * served(waveform), input_signature=[tf.TensorSpec((None, None))], autograph=False
    )
    tf.saved_model.save(outer, str(tmp_path))
    loaded, audio = tf.saved_model.load(str(tmp_path)), _noise(2, 9000)
    np.testing.assert_allclose(loaded.twice(audio), 2 * served(audio), atol=1e-6)
    assert loaded.inner.metadata() == served.metadata()


def test_metadata_is_what_the_files_say(served, saved_model):
    text = served.metadata().numpy().decode()
    folder = pathlib.Path(saved_model)
    assert text == (folder / FILE).read_text() == (folder / ASSET).read_text()
    info = json.loads(text)
    assert (info["version"], info["sample_rate"], info["dim"], info["license"]) == (2, RATE, 32, None)
    assert info["frame_hop_samples"] == 800
    assert info["model"]["width"] == 0.03125
    assert info["golden_sha256"] == golden.digest((folder / serve_once.GOLDEN_FILE).read_bytes())
    assert info["made_by"] == {"keras": keras.__version__, "tensorflow": tf.__version__}
    for signature, outputs in info["signatures"].items():
        specs = served.signatures[signature].structured_outputs
        assert set(specs) == set(outputs)
        for name, spec in specs.items():
            assert outputs[name].count(",") == spec.shape.rank - 1


@pytest.mark.slow
def test_the_record_of_the_training_is_told(tmp_path, monkeypatch):
    monkeypatch.setattr(golden, "make", lambda *_: _empty_npz())  # Only the info matters here.
    monkeypatch.setattr(warm_up, "write", lambda *_: None)
    record = {"steps": 7, "data": {"clips": {"train": 3}}, "validation": {"metric": "probe_mAP", "score": 0.5}}
    model = dual.DualEncoder(ModelConfig(formats="mfcc+mfcc", width=1 / 32, crop_seconds=0.1))
    saved_model.export(model, tmp_path, training=record)
    info = EmbeddingInfo.read(tmp_path)
    assert info.training == {"steps": 7, "data": {"clips": {"train": 3}}}
    assert info.scores == {"probe_mAP": 0.5}


class _Described:
    """What the info tells of a model; building one takes long."""

    formats, dims, sample_rate, crop_samples = ("mfcc", "mfcc"), {"mfcc": 8}, RATE, 1600

    def get_config(self):
        return {}


def test_what_the_trainer_records_is_told_without_places(tmp_path):
    info = examples.read_info(
        stored_examples.write_examples(tmp_path / "x", {"train": [(np.zeros(9, np.int16), (), 0)]})
    )
    started_from = epath.Path(tmp_path / "earlier.keras")
    started_from.write_bytes(b"weights")
    initial = InitialModel(path=started_from, config=ModelConfig(), is_exported=False)
    config = TrainerConfig(initial_model=str(started_from))
    outcome = Outcome(steps=7, best_step=5, loss=4.0, top1=0.5, clips_per_s=9.0)
    validated = ValidationState(best_step=5, best_score=-4.2485, metric="loss")
    results.write_record(
        epath.Path(tmp_path), config=config, info=info, outcome=outcome, validated=validated, initial=initial
    )
    record = json.loads((tmp_path / "training.json").read_text())
    told = description.describe(_Described(), training=record)
    assert told.scores == {"loss": 4.2485}
    assert told.training["data"] == {"description": "test", "clips": {"train": 1}, "classes": 0, "sample_rate": RATE}
    assert told.training["initial_model"] == {"sha256": hashlib.sha256(b"weights").hexdigest()}
    assert told.training["config"]["steps"] == config.steps
    assert str(tmp_path) not in told.to_json()


def _empty_npz():
    file = io.BytesIO()
    np.savez(file)
    return file.getvalue()


def test_every_warm_up_request_can_be_answered(served, saved_model):
    records = list(tf.data.TFRecordDataset(os.path.join(saved_model, warm_up.FILE)).as_numpy_iterator())
    signatures = []
    for record in records:
        request = prediction_log_pb2.PredictionLog.FromString(record).predict_log.request
        inputs = {name: tf.constant(tf.make_ndarray(tensor)) for name, tensor in request.inputs.items()}
        signatures.append(request.model_spec.signature_name)
        assert served.signatures[signatures[-1]](**inputs)["embedding"].shape[0] in (1, 4)
    assert sorted(signatures) == sorted(2 * serve_once.SIGNATURES)


def test_golden_vectors_notice_a_change(served, saved_model):
    folder = pathlib.Path(saved_model)
    with np.load(folder / serve_once.GOLDEN_FILE) as file:
        arrays = dict(file)
    functions = serve_once.functions(served.signatures, served)
    assert golden.worst_difference(arrays, serve_once.golden_outputs(functions, arrays)) < golden.TOLERANCE
    kernel = max(served.trainable_variables, key=lambda variable: variable.shape.num_elements())
    unchanged = kernel.numpy()
    kernel.assign(kernel * 1.001)
    try:
        assert golden.worst_difference(arrays, serve_once.golden_outputs(functions, arrays)) > golden.TOLERANCE
    finally:
        kernel.assign(unchanged)
