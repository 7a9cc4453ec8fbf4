"""Compares PANNs' networks, layer by layer, with a second implementation and, for three networks, with its vectors."""

import keras
import numpy as np
import pytest

from models import catalog, encoders, panns
from tests.models.panns_reference import embed
from tests.reference import draws, fixture, relative_error, tensors, torch_weights

NETWORKS = ("cnn6", "cnn10", "cnn14", "resnet22", "resnet38", "resnet54", "res1dnet31", "res1dnet51")
NARROW = 1 / 16
VECTORS = ("cnn6", "resnet22", "res1dnet31", "res1dnet31_gn32_samepool")
SMALL = ("cnn6", "cnn10")  # The others have 58 to 101 million weights.


def _slow_unless_small(names):
    return [pytest.param(name, marks=() if name in SMALL else pytest.mark.slow) for name in names]


@pytest.mark.parametrize("vectors", _slow_unless_small(VECTORS))
def test_the_second_implementation_equals_the_vectors(vectors):
    arrays, expected = torch_weights(vectors), fixture(vectors)
    lengths = [key.removeprefix("input_") for key in expected if key.startswith("input_")]
    assert lengths
    pooling = "same" if "same" in vectors else "valid"
    for length in lengths:
        embedding = embed(vectors, arrays, expected[f"input_{length}"], pooling=pooling)
        assert relative_error(embedding, expected[f"eval_f64_{length}"]) < 1e-12


def _weights(name, width):
    """Returns the reference weights, or weights of fewer channels from the same distribution."""
    arrays = {}
    for tensor, kind, full_shape in tensors(name):
        # The numbers of channels are multiples of 64. No other sizes are.
        shape = [size if size % 64 else round(size * width) for size in full_shape]
        arrays[tensor] = draws.draw(name, tensor, kind, shape)
    return arrays


def _check(name, *, width, padding):
    arrays, encoder = _weights(name, width), encoders.build(name, width=width, padding=padding, norm="batch")
    panns.assign(encoder, arrays)
    layers = [layer.name for layer in encoder.layers if layer.weights]
    stages = keras.Model(encoder.input, [encoder.get_layer(layer).output for layer in layers] + encoder.outputs)
    rng = np.random.default_rng(0)
    for shape in [(2, 20476), (2, 24000)] if catalog.ENCODERS[name].waveform else [(2, 64, 80), (2, 69, 80)]:
        x, expected = rng.normal(size=shape).astype("float32"), {}
        embedding = embed(name, arrays, x if x.ndim == 2 else x[:, np.newaxis], pooling=padding, outputs=expected)
        assert {key.rpartition(".")[0] for key in arrays} == expected.keys()
        *outputs, output = stages(x)
        outputs = dict(zip(layers, outputs, strict=True))
        for layer in expected:  # in order, so that the first failure is the first layer that differs
            y = np.moveaxis(outputs[layer], -1, 1)
            equal = y.shape == expected[layer].shape and relative_error(y, expected[layer]) <= 1e-4
            assert equal, f"{name} first differs at {layer} for an input of shape {shape}"
        assert relative_error(output, embedding) <= 1e-4, f"{name} first differs after its last layer"


@pytest.mark.parametrize("padding", catalog.PADDINGS)
@pytest.mark.parametrize("name", NETWORKS)
def test_every_layer_of_a_narrow_network_equals_the_second_implementation(name, padding):
    _check(name, width=NARROW, padding=padding)


@pytest.mark.parametrize("name", _slow_unless_small(NETWORKS))
def test_every_layer_of_the_full_network_equals_the_second_implementation(name):
    _check(name, width=1.0, padding="valid")
