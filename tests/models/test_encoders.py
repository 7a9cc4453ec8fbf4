import keras
import numpy as np
import pytest

from models import catalog, encoders
from tests.reference import fixture, needs_reference, relative_error, weights

# ENCODERS.md, section 10, for 80 mel bands; counted by torch on the published networks.
PARAMETERS = {
    "cnn6": 4_304_480,
    "cnn10": 4_686_304,
    "cnn14": 75_477_472,
    "conv160": 5_254_144,
    "conv320": 6_303_744,
    "conv640": 7_353_344,
    "conv1280": 8_402_944,
    "conv2560": 9_452_544,
}


@pytest.mark.parametrize("name", catalog.ENCODERS)
def test_parameters_and_output_size(name):
    model = encoders.build(name)
    assert sum(int(np.prod(v.shape)) for v in model.trainable_variables) == PARAMETERS[name]
    assert model.output_shape[-1] == catalog.ENCODERS[name].dim
    assert encoders.build(name, width=0.25).output_shape[-1] == catalog.ENCODERS[name].dim // 4


@needs_reference
@pytest.mark.parametrize(
    ("vectors", "options"),
    [
        ("conv320_gn1_nobias_valid", {"norm": "group:1", "padding": "valid"}),
        ("conv320_gn32_nobias_same", {"norm": "group:32", "padding": "same"}),
    ],
)
def test_conv_stack_matches_the_reference(vectors, options):
    model, arrays, expected = encoders.build("conv320", **options), weights(vectors), fixture(vectors)
    for i in range(7):
        model.get_layer(f"conv{i}").kernel.assign(arrays[f"convs.{i}.weight"])
        model.get_layer(f"norm{i}").gamma.assign(arrays[f"norms.{i}.weight"])
        model.get_layer(f"norm{i}").beta.assign(arrays[f"norms.{i}.bias"])
    inputs = [key for key in expected if key.startswith("input_")]
    assert inputs
    for key in inputs:
        found = model(expected[key])
        assert relative_error(found, expected[key.replace("input", "eval_f64")]) < 1e-4


@needs_reference
@pytest.mark.parametrize("frames", ["T96", "T101"])
def test_cnn6_matches_the_reference(frames):
    model, arrays, expected = encoders.build("cnn6", padding="valid"), weights("cnn6"), fixture("cnn6")
    _assign_batch_norm(model.get_layer("bn0"), arrays, "bn0")
    for block in range(1, 5):
        model.get_layer(f"block{block}_conv1").kernel.assign(arrays[f"conv_block{block}.conv1.weight"])
        _assign_batch_norm(model.get_layer(f"block{block}_norm1"), arrays, f"conv_block{block}.bn1")
    found = model(expected[f"input_{frames}"][:, 0])  # the reference has a channel axis first
    assert relative_error(found, expected[f"eval_f64_{frames}"]) < 1e-4


def _assign_batch_norm(layer, arrays, name):
    layer.gamma.assign(arrays[f"{name}.weight"])
    layer.beta.assign(arrays[f"{name}.bias"])
    layer.moving_mean.assign(arrays[f"{name}.running_mean"])
    layer.moving_variance.assign(arrays[f"{name}.running_var"])


@pytest.mark.parametrize("name", ["conv160", "conv320", "conv2560"])
def test_shortest_input_gives_one_frame(name):
    model, shortest = encoders.build(name, width=1 / 64), catalog.ENCODERS[name].shortest
    waveform = np.random.default_rng(0).normal(size=(1, shortest)).astype("float32")
    assert np.isfinite(model(waveform)).all()
    last = keras.Model(model.input, model.layers[-2].output)
    assert last(waveform).shape[1] == 1


def test_same_padding_takes_a_short_crop():
    assert np.isfinite(encoders.build("cnn14", width=1 / 64)(np.zeros((1, 20, 80), "float32"))).all()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"name": "cnn7"}, "unknown encoder 'cnn7'.*cnn6"),
        ({"name": "cnn6", "padding": "full"}, "unknown padding"),
        ({"name": "cnn6", "width": 0.001}, "width 0.001 leaves none"),
        ({"name": "conv160", "norm": "group:7"}, "cannot split 512 channels into 7 groups"),
    ],
)
def test_what_cannot_be_built_is_refused(options, message):
    with pytest.raises(ValueError, match=message):
        encoders.build(**options)
