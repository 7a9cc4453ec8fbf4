import os
import zipfile

import keras
import numpy as np
import pytest
import tensorflow as tf

from beam_jobs.embedding.embedder import Framing
from components.embedder import baselines
from components.embedder.baselines import musicnn, options
from components.errors import UserError
from tests.compiled_librosa import librosa
from tests.components.embedder.baselines import checks
from tests.reference import relative_error

COMPARED = Framing(sample_rate=8000, window_samples=8000, hop_samples=4000)
OWN = Framing(sample_rate=16000, window_samples=48128, hop_samples=24064)
WHEEL = os.environ.get("MUSICNN_WHEEL", "")


def _musicnn():
    """Returns a narrow network of the kind of `MTT_musicnn`, made of Keras' layers, up to the penultimate one."""
    layers = keras.layers
    numbers = {"conv2d": iter(range(8)), "batch_normalization": iter(range(11))}

    def name(kind):
        return f"{kind}_{number}" if (number := next(numbers[kind])) else kind

    def normalized(x):
        return layers.BatchNormalization(epsilon=1e-3, name=name("batch_normalization"))(x)

    def convolved(x, filters, size, padding):
        if padding == "timbral":
            x, padding = layers.ZeroPadding2D(((3, 3), (0, 0)))(x), "valid"
        x = layers.Conv2D(filters, size, padding=padding, activation="relu", name=name("conv2d"))(x)
        return normalized(x)

    def hidden(x):
        return layers.Permute((1, 3, 2))(convolved(x, 5, (7, x.shape[2]), "timbral"))

    inputs = keras.Input((None, 96))
    x = normalized(layers.Reshape((-1, 96, 1))(inputs))
    maps = [convolved(x, 3, (7, height), "timbral") for height in (38, 67)]
    maps += [convolved(x, 2, (width, 1), "same") for width in (128, 64, 32)]
    maps = [layers.MaxPooling2D((1, y.shape[2]))(y) for y in maps]
    front = layers.Permute((1, 3, 2))(layers.Concatenate(axis=-1)(maps))
    first = hidden(front)
    second = layers.Add()([hidden(first), first])
    third = layers.Add()([hidden(second), second])
    features = layers.Reshape((-1, 27))(layers.Concatenate(axis=2)([front, first, second, third]))
    pools = [
        layers.Reshape((27, 1))(pool()(features)) for pool in (layers.GlobalMaxPooling1D, layers.GlobalAveragePooling1D)
    ]
    x = normalized(layers.Flatten()(layers.Concatenate(axis=-1)(pools)))
    return keras.Model(inputs, normalized(layers.Dense(7, activation="relu", name="dense")(x)))


def _vgg(first_pools):
    """Returns a narrow network of the kind of `MTT_vgg` up to its last pooling, with the sizes of the first two."""
    layers = keras.layers
    inputs = keras.Input((187, 96))
    x = layers.BatchNormalization(epsilon=1e-3, name="batch_normalization")(layers.Reshape((187, 96, 1))(inputs))
    for number, (size, strides) in enumerate([*first_pools, (2, 2), (2, 2), (4, 4)], 1):
        x = layers.Conv2D(4, 3, padding="same", activation="relu", name=f"{number}CNN")(x)
        x = layers.BatchNormalization(epsilon=1e-3, name=f"batch_normalization_{number}")(x)
        x = layers.MaxPooling2D(size, strides)(x)
    return keras.Model(inputs, layers.Flatten()(x))


def _write_wheel(path, networks, folder):
    """Writes checkpoints like those in the wheel, with the variables of the optimizer, into an archive."""
    with zipfile.ZipFile(path, "w") as wheel:
        for name, network in networks.items():
            tensors = {f"{layer.name}/{v.name}": v.numpy() for layer in network.layers for v in layer.weights}
            tensors |= {f"{variable}/Adam": value for variable, value in tensors.items() if "moving" not in variable}
            tensors |= {"beta1_power": np.float32(0.9)}
            tf.raw_ops.SaveV2(
                prefix=f"{folder}/{name}", tensor_names=list(tensors), shape_and_slices=[""] * len(tensors),
                tensors=list(tensors.values()),
            )  # fmt: skip
            for part in ("index", "data-00000-of-00001"):
                wheel.write(f"{folder}/{name}.{part}", f"musicnn/{name}/.{part}")


@pytest.fixture(scope="module")
def networks():
    """Networks with random weights, also of the normalization."""
    rng = np.random.default_rng(0)
    built = {
        "MTT_musicnn": _musicnn(),
        "MTT_vgg": _vgg([((4, 1), 2), (2, 2)]),
        "MSD_vgg": _vgg([((4, 1), (4, 1)), ((1, 4), (1, 4))]),
    }
    for network in built.values():
        for layer in network.layers:
            for variable in layer.weights:
                low, high = (0.5, 1.5) if variable.name in ("gamma", "moving_variance") else (-0.5, 0.5)
                variable.assign(rng.uniform(low, high, variable.shape))
    return built


@pytest.fixture(scope="module")
def wheel(networks, tmp_path_factory):
    folder = tmp_path_factory.mktemp("musicnn")
    _write_wheel(folder / "stand-in.whl", networks, folder)
    return folder / "stand-in.whl"


def _log_mel(sounds):
    """Returns the spectrograms that musicnn would compute with librosa, without the frames that leave the window."""
    power = librosa().feature.melspectrogram(y=sounds, sr=16000, hop_length=256, n_fft=512, n_mels=96, center=False)
    return np.log10(10000 * power.transpose(0, 2, 1) + 1)


@pytest.mark.parametrize(
    ("network", "output", "dim"),
    [("MTT_musicnn", "penultimate", 7), ("MTT_vgg", "pool5", 8), ("MSD_vgg", "pool5", 8)],
)
def test_the_vectors_are_those_of_the_same_layers_in_keras(network, output, dim, wheel, networks):
    embedder = baselines.parse(f"musicnn:{network}={wheel}", framing=COMPARED).load()
    assert embedder.framing == OWN
    sounds, vectors = checks.check(embedder, dims={output: dim})
    log_mel = _log_mel(sounds)
    assert log_mel.shape[1:] == (187, 96)
    assert relative_error(vectors[output], np.asarray(networks[network](log_mel, training=False))) < 1e-4


def test_a_damaged_checkpoint_is_refused(wheel, tmp_path):
    damaged = tmp_path / "damaged.whl"
    with zipfile.ZipFile(wheel) as source, zipfile.ZipFile(damaged, "w") as target:
        for name in source.namelist():
            target.writestr(name, source.read(name)[: -1000 if "MSD_vgg" in name else None])
        target.writestr("musicnn/MSD_musicnn/.index", source.read("musicnn/MSD_vgg/.index"))
        target.writestr("musicnn/MSD_musicnn/.data-00000-of-00001", source.read("musicnn/MSD_vgg/.data-00000-of-00001"))
    with pytest.raises(UserError, match="MSD_vgg of .*damaged.whl is damaged .*: download it again"):
        baselines.parse(f"musicnn:MSD_vgg={damaged}", framing=COMPARED).load()
    with pytest.raises(UserError, match="MSD_musicnn of .*damaged.whl cannot embed windows .*conv2d/kernel"):
        baselines.parse(f"musicnn:MSD_musicnn={damaged}", framing=COMPARED).load()


@pytest.mark.slow
@pytest.mark.skipif(not WHEEL, reason="MUSICNN_WHEEL does not name musicnn-0.1.0-py3-none-any.whl")
@pytest.mark.parametrize("network", options.MUSICNN_OUTPUTS)
def test_the_vectors_are_those_of_the_graph_in_the_wheel(network):
    """Runs the authors' own graph, which the wheel holds beside the weights."""
    output, node, dim = {
        "penultimate": ("penultimate", "model/batch_normalization_10/batchnorm/add_1", 200),
        "pool5": ("pool5", "model/Flatten/flatten/Reshape", 256),
    }[options.MUSICNN_OUTPUTS[network]]
    embedder = baselines.parse(f"musicnn:{network}={WHEEL}", framing=COMPARED).load()
    sounds, vectors = checks.check(embedder, dims={output: dim})
    described = tf.compat.v1.MetaGraphDef()
    with zipfile.ZipFile(WHEEL) as wheel:
        described.ParseFromString(wheel.read(f"musicnn/{network}/.meta"))
    forward = tf.compat.v1.graph_util.extract_sub_graph(described.graph_def, [node])
    nodes = {node.name for node in forward.node}
    with tf.Graph().as_default(), tf.compat.v1.Session() as session:
        weights = {f"{name}/read": value for name, value in musicnn.read_weights(WHEEL, network=network).items()}
        constants = {f"{name}:0": tf.constant(value) for name, value in weights.items() if name in nodes}
        (result,) = tf.import_graph_def(forward, input_map=constants, return_elements=[f"{node}:0"], name="")
        fed = {"model/Placeholder:0": _log_mel(sounds), "model/Placeholder_2:0": False}
        expected = session.run(result, fed)
    assert relative_error(vectors[output], expected) < 1e-4
