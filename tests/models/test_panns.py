import keras
import numpy as np
import pytest

from models import encoders, panns
from tests import reference

NETWORKS = ("cnn6", "cnn10", "cnn14", "resnet22", "resnet38", "resnet54", "res1dnet31", "res1dnet51")
WIDTH = 1 / 16
VARIABLES = {"weight": ("kernel", "gamma"), "bias": ("beta",)}
VARIABLES |= {"running_mean": ("moving_mean",), "running_var": ("moving_variance",)}
KERAS_AXES = {1: (0,), 3: (2, 1, 0), 4: (2, 3, 1, 0)}


def _published(name):
    """Returns tensors as in a published checkpoint, with a 16th of the channels, and the number of bands."""
    rng, arrays = np.random.default_rng(0), {}
    for tensor, _, full_shape in reference.tensors(name):
        shape = list(full_shape)
        if tensor.startswith("bn0") and not name.startswith("res1d"):
            bands = shape[0]
        else:
            shape[:2] = [max(1, round(size * WIDTH)) for size in shape[:2]]
        arrays[tensor] = rng.normal(size=shape).astype("float32")
    front_end = {"spectrogram_extractor.stft.conv_real.weight": (513, 1, 1024), "logmel_extractor.melW": (513, 64)}
    head = {"fc1.weight": (128, 128), "fc1.bias": (128,), "fc_audioset.weight": (527, 128), "fc_audioset.bias": (527,)}
    arrays |= {key: np.zeros(shape, "float32") for key, shape in {**front_end, **head}.items()}
    arrays["bn0.num_batches_tracked"] = np.array(600000)
    return arrays, bands if not name.startswith("res1d") else 80


def _build(name, bands=80):
    return encoders.build(name, n_mels=bands, norm="batch", padding="same", width=WIDTH)


@pytest.mark.parametrize("name", NETWORKS)
def test_every_tensor_is_assigned_to_its_layer(name):
    arrays, bands = _published(name)
    assert panns.identify(arrays) == name
    encoder = _build(name, bands)
    panns.assign(encoder, arrays)
    assigned = 0
    for key, array in arrays.items():
        layer, _, role = key.rpartition(".")
        if layer.startswith(("fc", "spectrogram", "logmel")) or role == "num_batches_tracked":
            continue
        variables = {weight.name: np.asarray(weight) for weight in encoder.get_layer(layer).weights}
        value = next(variables[name] for name in VARIABLES[role] if name in variables)
        np.testing.assert_array_equal(value, array.transpose(KERAS_AXES[array.ndim]))
        assigned += value.size
    assert assigned == encoder.count_params()


def test_all_tensors_that_do_not_fit_are_listed_and_none_is_assigned():
    arrays, bands = _published("cnn6")
    encoder = _build("cnn6", bands)
    before = [np.asarray(weight) for weight in encoder.weights]
    del arrays["conv_block3.bn1.running_var"]
    arrays["att_block.att.weight"] = np.zeros((527, 2048, 1))
    arrays["conv_block2.conv1.weight"] = arrays["conv_block2.conv1.weight"][:5]
    with pytest.raises(ValueError, match="do not fit the encoder 'cnn6'") as error:
        panns.assign(encoder, arrays)
    for part in ("missing conv_block3.bn1.running_var;", "unexpected att_block.att.weight;"):
        assert part in str(error.value)
    assert "of another shape conv_block2.conv1.weight (5, 5, 4, 5), expected (5, 5, 4, 8)" in str(error.value)
    for weight, value in zip(encoder.weights, before, strict=True):
        np.testing.assert_array_equal(weight, value)


def test_a_long_list_of_tensors_is_truncated():
    arrays, bands = _published("cnn10")
    with pytest.raises(ValueError, match=r"unexpected (conv_block\S+ ){10}and \d+ more"):
        panns.assign(_build("cnn6", bands), arrays)


def test_weights_without_running_statistics_fit_group_norm_only():
    arrays, _ = _published("res1dnet31")
    arrays = {key: array for key, array in arrays.items() if "running" not in key}
    encoder = encoders.build("res1dnet31", norm="group:4", width=WIDTH)
    panns.assign(encoder, arrays)
    np.testing.assert_array_equal(encoder.get_layer("bn0").gamma, arrays["bn0.weight"])
    with pytest.raises(ValueError, match=r"missing bn0\.running_mean"):
        panns.assign(_build("res1dnet31"), arrays)


@pytest.mark.parametrize(
    "names",
    [
        ["features.0.0.weight", "features.1.0.weight"],  # MobileNet
        [f"pre_block{i}.conv{j}.weight" for i in range(3) for j in (1, 2)],  # Wavegram
        [],
    ],
)
def test_other_networks_are_not_identified(names):
    with pytest.raises(ValueError, match="none of PANNs' networks cnn6, .*res1dnet51"):
        panns.identify({name: np.zeros((8, 1, 3, 3)) for name in names})


def test_half_precision_weights_are_converted_to_float32():
    inputs = keras.Input((4, 4, 1))
    encoder = keras.Model(inputs, keras.layers.Conv2D(1, 1, use_bias=False, name="conv_block1.conv1")(inputs))
    panns.assign(encoder, {"conv_block1.conv1.weight": np.full((1, 1, 1, 1), 0.5, "float16")})
    assert float(encoder.get_layer("conv_block1.conv1").kernel[0, 0, 0, 0]) == 0.5
