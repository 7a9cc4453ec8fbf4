"""Writes checkpoints as PANNs published them, in torch's zip format and without torch."""

import pickle
import zipfile

import numpy as np

from tests.compiled_librosa import librosa
from tests.reference import torch_weights

STORAGES = {"float32": "FloatStorage", "float16": "HalfStorage", "int64": "LongStorage"}


def tensors(name, *, sample_rate=32000, fft_length=1024, bands=64, high_hz=14000.0):
    """Returns all tensors of one of PANNs' networks: the weights of the encoder and zeros for the linear layers.

    Args:
        name: Name of the encoder.
        sample_rate: In Hz.
        fft_length: Points of the FFT.
        bands: Number of mel bands.
        high_hz: Upper edge of the highest band, in Hz.
    """
    rng = np.random.default_rng(0)
    arrays = torch_weights(name)
    if not name.startswith("res1d"):
        for key in arrays:
            if key.startswith("bn0."):
                arrays[key] = rng.uniform(0.5, 1.5, bands).astype("float32")
        mel = librosa().filters.mel(sr=sample_rate, n_fft=fft_length, n_mels=bands, fmin=50.0, fmax=high_hz)
        bins = fft_length // 2 + 1
        arrays["spectrogram_extractor.stft.conv_real.weight"] = np.zeros((bins, 1, fft_length), "float32")
        arrays["logmel_extractor.melW"] = mel.T
    arrays["bn0.num_batches_tracked"] = np.array(600000)
    dim = 512 if name in ("cnn6", "cnn10") else 2048
    for layer, units in (("fc1", dim), ("fc_audioset", 527)):
        arrays[f"{layer}.weight"] = np.zeros((units, dim), "float32")
        arrays[f"{layer}.bias"] = np.zeros(units, "float32")
    return arrays


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
    """Returns the opcodes that rebuild a tensor from its storage."""
    strides = tuple(stride // array.itemsize for stride in array.strides)
    storage = b"(" + _pickled("storage") + f"ctorch\n{STORAGES[array.dtype.name]}\n".encode() + _pickled(name)
    storage += _pickled("cpu") + _pickled(array.size) + b"tQ"
    view = _pickled(0) + _pickled(array.shape) + _pickled(strides) + _pickled(False) + b"ccollections\nOrderedDict\n)R"
    return b"ctorch._utils\n_rebuild_tensor_v2\n(" + storage + view + b"tR"


def _pickled(value):
    """Returns the opcodes that put a plain value on the stack."""
    return pickle.dumps(value, protocol=2)[2:-1]
