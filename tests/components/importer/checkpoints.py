"""Checkpoints as PANNs published them, with weights of our choice: torch's zip format, written without torch."""

import pickle
import zipfile

import librosa
import numpy as np

from tests.reference import torch_weights

STORAGES = {"float32": "FloatStorage", "float16": "HalfStorage", "int64": "LongStorage"}


def tensors(name, *, sample_rate=32000, fft_length=1024, bands=64, high_hz=14000.0):
    """Everything that PANNs' network of that name has, the weights from the reference."""
    own = torch_weights(name)
    dim = 512 if name in ("cnn6", "cnn10") else 2048
    rng, bins = np.random.default_rng(0), fft_length // 2 + 1
    if not name.startswith("res1d"):
        own |= {key: rng.uniform(0.5, 1.5, bands).astype("float32") for key in own if key.startswith("bn0.")}
        mel = librosa.filters.mel(sr=sample_rate, n_fft=fft_length, n_mels=bands, fmin=50.0, fmax=high_hz)
        own |= {"spectrogram_extractor.stft.conv_real.weight": np.zeros((bins, 1, fft_length), "float32")}
        own |= {"logmel_extractor.melW": mel.T}
    head = {"fc1.weight": (dim, dim), "fc1.bias": (dim,), "fc_audioset.weight": (527, dim), "fc_audioset.bias": (527,)}
    return {
        **own,
        "bn0.num_batches_tracked": np.array(600000),
        **{key: np.zeros(shape, "float32") for key, shape in head.items()},
    }


def write(path, arrays):
    """Writes `{"iteration": 600000, "model": arrays}`."""
    state = b"".join(_pickled(name) + _tensor(name, array) for name, array in arrays.items())
    saved = b"\x80\x02}(" + _pickled("iteration") + _pickled(600000) + _pickled("model")
    saved += b"ccollections\nOrderedDict\n)R(" + state + b"uu."
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("archive/data.pkl", saved)
        archive.writestr("archive/version", "3\n")
        for name, array in arrays.items():
            archive.writestr(f"archive/data/{name}", array.tobytes("A"))


def _tensor(name, array):
    strides = tuple(stride // array.itemsize for stride in array.strides)
    storage = b"(" + _pickled("storage") + f"ctorch\n{STORAGES[array.dtype.name]}\n".encode() + _pickled(name)
    storage += _pickled("cpu") + _pickled(array.size) + b"tQ"
    view = _pickled(0) + _pickled(array.shape) + _pickled(strides) + _pickled(False) + b"ccollections\nOrderedDict\n)R"
    return b"ctorch._utils\n_rebuild_tensor_v2\n(" + storage + view + b"tR"


def _pickled(value):
    """The opcodes that put a plain value on the stack."""
    return pickle.dumps(value, protocol=2)[2:-1]
