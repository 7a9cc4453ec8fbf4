import contextlib
import gc

import keras
import numpy as np
import pytest

from models import catalog, encoders, layers, panns
from tests.models.gradients import double_precision, value_and_gradients
from tests.models.plain import twin
from tests.reference import fixture, relative_distance, relative_error, torch_weights

# Numbers of parameters with 80 mel bands, counted by PyTorch on the published networks; MelBank's is not published.
PARAMETERS = {
    "cnn6": 4_304_480,
    "cnn10": 4_686_304,
    "cnn14": 75_477_472,
    "resnet22": 58_398_944,
    "resnet38": 68_507_104,
    "resnet54": 99_042_016,
    "res1dnet31": 75_188_288,
    "res1dnet51": 101_261_888,
    "conv160": 5_254_144,
    "conv320": 6_303_744,
    "conv640": 7_353_344,
    "conv1280": 8_402_944,
    "conv2560": 9_452_544,
    "melbank": 4_686_304 + 320 * 2 * 80,
}
NARROW = 1 / 32
NORMS = (layers.BatchNormalization, layers.GroupNormalization)
FAMILIES = ("cnn6", "cnn14", "resnet22", "resnet54", "res1dnet31", "conv640")


def _noise(name, *, batch=2, seconds=1.0):
    samples = round(16000 * seconds)
    shape = (batch, samples) if catalog.ENCODERS[name].waveform else (batch, samples // 160 - 1, 80)
    return np.random.default_rng(0).normal(size=shape).astype("float32")


@contextlib.contextmanager
def _zero_kernels():
    """Lets layers start with zeros within the block. Drawing 75 million weights takes a second."""
    with pytest.MonkeyPatch.context() as patched:
        zeros = keras.initializers.Zeros()
        draw = lambda self, shape, dtype=None: zeros(shape, dtype)  # noqa: E731 (a method)
        patched.setattr(keras.initializers.GlorotUniform, "__call__", draw)
        yield


@pytest.fixture
def freed():
    """Keras' models are cyclic, and these take gigabytes."""
    yield
    gc.collect()


@pytest.mark.usefixtures("freed")
@pytest.mark.parametrize("name", catalog.ENCODERS)
def test_parameters_and_output_size(name):
    with _zero_kernels():
        model = encoders.build(name)
    assert sum(int(np.prod(v.shape)) for v in model.trainable_variables) == PARAMETERS[name]
    assert model.output_shape[-1] == catalog.ENCODERS[name].dim
    norms = [layer for layer in model.layers if isinstance(layer, NORMS) and layer.gamma.shape[0] != 80]
    assert {layer.gamma.shape[0] for layer in norms} == set(catalog.ENCODERS[name].channels)
    assert encoders.build(name, width=NARROW).output_shape[-1] == catalog.ENCODERS[name].dim * NARROW


# Name of the vectors -> encoder, and the options that match the reference network.
REFERENCES = {
    "cnn6": ("cnn6", {"padding": "valid"}),
    "resnet22": ("resnet22", {"padding": "valid"}),
    "res1dnet31": ("res1dnet31", {"padding": "valid", "norm": "batch"}),
    "res1dnet31_gn32_samepool": ("res1dnet31", {}),
    "conv320_gn1_nobias_valid": ("conv320", {}),
    "conv320_gn32_nobias_same": ("conv320", {"norm": "group:32", "padding": "same"}),
}


WITH_BATCH_NORM = ("cnn6", "resnet22", "res1dnet31")


@pytest.fixture(scope="module", params=REFERENCES)
def weights(request):
    """The name of a reference network, and its weights. Drawing up to 75 million of them takes seconds."""
    arrays = torch_weights(request.param)
    if request.param.startswith("conv"):  # This reference names its modules differently from Diptych's layers.
        arrays = {key.replace("convs.", "conv").replace("norms.", "norm"): value for key, value in arrays.items()}
    yield request.param, arrays
    gc.collect()  # The encoders with these weights are free now.


@pytest.fixture(scope="module")
def reference(weights):
    return _with_reference_weights(*weights)


@pytest.fixture(scope="module")
def double_reference(weights):
    """The same in float64, for tests that must not depend on rounding; use it in `double_precision`."""
    with double_precision():
        return _with_reference_weights(*weights)


def _with_reference_weights(key, arrays):
    """Returns an encoder with the weights of a reference network, and the vectors of that network."""
    name, options = REFERENCES[key]
    with _zero_kernels():
        model = encoders.build(name, dropout=0.0, **options)
    panns.assign(model, arrays)
    expected = fixture(key)
    for key, value in expected.items():
        if key.startswith(("input_", "grad_input_")) and value.ndim == 4:
            expected[key] = value[:, 0]  # drops the channel axis of the spectral reference networks
    return model, expected


def test_output_equals_the_reference(reference):
    model, expected = reference
    lengths = [key.removeprefix("input_") for key in expected if key.startswith("input_")]
    assert lengths
    for length in lengths:
        assert relative_error(model(expected[f"input_{length}"]), expected[f"eval_f64_{length}"]) < 1e-5


@pytest.mark.usefixtures("freed")
@pytest.mark.parametrize(
    "weights",
    [*WITH_BATCH_NORM, pytest.param("res1dnet31_gn32_samepool", marks=pytest.mark.slow)],
    indirect=True,
    scope="module",
)
def test_gradients_equal_the_reference(double_reference):
    model, expected = double_reference
    with double_precision():
        (length,) = (key.removeprefix("grad_input_") for key in expected if key.startswith("grad_input_"))
        trained = [keras.ops.convert_to_tensor(v.value) for v in model.trainable_variables]

        def loss(x, *weights):
            y, _ = model.stateless_call(weights, model.non_trainable_variables, x)
            return keras.ops.sum(y * np.cos(np.arange(y.shape[0] * y.shape[1])).reshape(y.shape))

        x = expected[f"input_{length}"].astype("float64")
        _, (input_gradient, *weight_gradients) = value_and_gradients(loss, [x, *trained])
    assert relative_distance(input_gradient, expected[f"grad_input_{length}"]) < 1e-6
    norms = [float(np.linalg.norm(gradient)) for gradient in weight_gradients]
    assert sorted(norms) == pytest.approx(sorted(expected["grad_norm"]), rel=1e-6)


@pytest.mark.skipif(
    keras.backend.backend() == "jax", reason="Keras' ops.mean computes in float32 on JAX, also in double precision"
)
@pytest.mark.parametrize("weights", WITH_BATCH_NORM, indirect=True, scope="module")
def test_training_updates_the_running_statistics_like_pytorch(double_reference):
    model, expected = double_reference
    (length,) = (key.removeprefix("train_nodrop_f64_") for key in expected if key.startswith("train_nodrop_f64_"))
    updated = {key.removeprefix("train_running/"): value for key, value in expected.items() if "train_running" in key}
    before = model.get_weights()
    with double_precision():
        output = model(expected[f"input_{length}"].astype("float64"), training=True)
    assert relative_error(output, expected[f"train_nodrop_f64_{length}"]) < 1e-6
    for key, value in updated.items():
        layer, _, statistic = key.rpartition(".")
        variable = {"running_mean": "moving_mean", "running_var": "moving_variance"}[statistic]
        assert relative_error(getattr(model.get_layer(layer), variable), value) < 1e-6
    model.set_weights(before)


OPTIONS = (("valid", "batch"), ("same", "group:2"))
# Each family with one of the options, and the others among the slow tests.
FAMILIES_AND_OPTIONS = [
    pytest.param(name, *options, marks=[] if (i + k) % 2 == 0 else pytest.mark.slow)
    for i, name in enumerate(FAMILIES)
    for k, options in enumerate(OPTIONS)
]


@pytest.mark.parametrize(("name", "padding", "norm"), FAMILIES_AND_OPTIONS)
def test_equals_the_same_network_of_plain_keras_layers(name, padding, norm):
    with double_precision():
        model = encoders.build(name, width=NARROW, norm=norm, padding=padding)
        plain, x = twin(model), _noise(name, seconds=1.5).astype("float64")
        value, (gradient,) = value_and_gradients(lambda x: keras.ops.sum(keras.ops.square(model(x))), [x])
        expected, (expected_gradient,) = value_and_gradients(lambda x: keras.ops.sum(keras.ops.square(plain(x))), [x])
    assert value == pytest.approx(expected, rel=1e-6)
    assert relative_distance(gradient, expected_gradient) < 1e-6


@pytest.mark.parametrize("name", ["resnet22", "resnet54", "res1dnet31"])
def test_residual_blocks_start_as_the_identity(name):
    model = encoders.build(name, width=NARROW, norm="batch")
    zeros = [layer.name for layer in model.layers if hasattr(layer, "gamma") and not np.any(layer.gamma)]
    last = ".bn3" if name == "resnet54" else ".bn2"
    assert zeros == [layer.name for layer in model.layers if ".layer" in layer.name and layer.name.endswith(last)]


@pytest.mark.parametrize("name", FAMILIES)
def test_group_norm_makes_an_embedding_independent_of_its_batch_even_in_training(name):
    model, x = encoders.build(name, width=NARROW, norm="group:2", dropout=0.0), _noise(name, batch=3)
    x[1:] *= 100
    np.testing.assert_allclose(model(x, training=True)[:1], model(x[:1], training=True), rtol=1e-3, atol=1e-5)


@pytest.mark.parametrize("name", catalog.ENCODERS)
def test_the_catalog_gives_the_shortest_valid_input(name):
    model, encoder = encoders.build(name, width=1 / 64, norm="batch", padding="valid"), catalog.ENCODERS[name]
    shape = () if encoder.waveform else (80,)
    shortest = encoder.shortest("valid")
    assert np.isfinite(model(np.ones((1, shortest, *shape), "float32"))).all()
    with pytest.raises(ValueError, match=f"{name} needs an input of at least {shortest} "):
        model(np.ones((1, shortest - 1, *shape), "float32"))
    # The check is exact: without it, an input that is shorter by one leaves nothing to pool.
    model.get_layer("minimum_length").shortest = 0
    with pytest.raises(Exception):  # noqa: B017, PT011 (how an empty tensor fails depends on the backend)
        assert np.isfinite(model(np.ones((1, shortest - 1, *shape), "float32"))).all()


@pytest.mark.parametrize("name", ["cnn14", "resnet22", "res1dnet31", "res1dnet51"])
def test_padding_same_reads_crops_of_a_second(name):
    assert np.isfinite(encoders.build(name, width=NARROW)(_noise(name))).all()


@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=pytest.mark.slow) if name == "resnet54" else name for name in FAMILIES]
)
def test_saving_keeps_the_outputs(name, tmp_path):
    model, x = encoders.build(name, width=NARROW, n_mels=80), _noise(name)
    model.save(tmp_path / "encoder.keras")
    np.testing.assert_array_equal(keras.models.load_model(tmp_path / "encoder.keras")(x), model(x))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"name": "cnn7"}, "unknown encoder 'cnn7'.*cnn6"),
        ({"name": "cnn6", "padding": "full"}, "unknown padding"),
        ({"name": "cnn6", "width": 0.001}, "width 0.001 leaves none"),
        ({"name": "cnn14", "n_mels": 31, "padding": "valid"}, "cnn14 needs at least 32 bands, not 31"),
        ({"name": "conv160", "norm": "group:7"}, "cannot split 512 channels into 7 groups"),
        ({"name": "resnet22", "norm": "layer"}, "unknown norm 'layer'"),
    ],
)
def test_an_encoder_that_cannot_be_built_is_an_error(options, message):
    with pytest.raises(ValueError, match=message):
        encoders.build(**options)
