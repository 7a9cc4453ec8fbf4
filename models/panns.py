"""Assigns the weights of PANNs (Kong et al. 2020) to the eight encoders that are PANNs without their linear layers.

The name of a layer with weights is the path of the PANNs module, e.g. `conv_block1.conv1` or
`resnet.layer2.0.downsample.1`. Together with the variable's name it gives the name of the PANNs tensor.
"""

from collections.abc import Mapping, Sequence

import keras
import numpy as np

from models import catalog

# Keras variable -> PyTorch tensor.
_TENSOR_OF_VARIABLE = {
    "kernel": "weight",
    "gamma": "weight",
    "beta": "bias",
    "moving_mean": "running_mean",
    "moving_variance": "running_var",
}
# The front end, which has no trained weights, and the linear layers.
_OUTSIDE_THE_ENCODER = ("spectrogram_extractor.", "logmel_extractor.", "fc1.", "fc_audioset.")
_BATCH_COUNTER = ".num_batches_tracked"
_MAX_NAMES_IN_ERROR = 10


def identify(arrays: Mapping[str, np.ndarray]) -> str:
    """Returns the name of the encoder to which a network's tensors belong.

    The number in the name of a PANNs network is its depth: the convolutions, except those of the shortcuts, plus the
    two linear layers.

    Args:
        arrays: PANNs tensor name -> array, or anything with a `shape`.

    Returns:
        One of `models.catalog.ENCODERS`.

    Raises:
        ValueError: The tensors belong to none of the eight PANNs networks.
    """
    names = [name for name in arrays if _is_encoder_tensor(name)]
    kernels = [name for name in names if len(arrays[name].shape) > 2 and ".downsample." not in name]
    if not any(name.startswith("resnet.") for name in names):
        family = "cnn"
    elif "conv0.weight" in names:
        family = "res1dnet"
    else:
        family = "resnet"
    network = f"{family}{len(kernels) + 2}"
    if network not in catalog.ENCODERS:
        known = ", ".join(name for name in catalog.ENCODERS if not name.startswith("conv"))
        raise ValueError(f"the weights are of none of PANNs' networks {known}, but contain {_listed(names)}")
    return network


def assign(encoder: keras.Model, arrays: Mapping[str, np.ndarray]) -> None:
    """Assigns the weights of a PANNs network to an encoder. If one does not fit, none is assigned.

    Args:
        encoder: From `models.encoders.build`, with the norm and the number of bands of the network.
        arrays: PANNs tensor name -> array in PyTorch's layout, kernels `(out, in, ...)`. Tensors of the front end and
            of the two linear layers are ignored.

    Raises:
        ValueError: Tensors are missing, unexpected or of another shape. The message lists them.
    """
    variables = {
        f"{layer.name}.{_TENSOR_OF_VARIABLE[variable.name]}": variable
        for layer in encoder.layers
        for variable in layer.weights
    }
    values = {name: _keras_layout(np.asarray(array)) for name, array in arrays.items() if _is_encoder_tensor(name)}
    problems = []
    missing = [name for name in variables if name not in values]
    if missing:
        problems.append(f"missing {_listed(missing)}")
    unexpected = [name for name in values if name not in variables]
    if unexpected:
        problems.append(f"unexpected {_listed(unexpected)}")
    misshapen = [
        f"{name} {values[name].shape}, expected {tuple(variable.shape)}"
        for name, variable in variables.items()
        if name in values and values[name].shape != tuple(variable.shape)
    ]
    if misshapen:
        problems.append(f"of another shape {_listed(misshapen)}")
    if problems:
        raise ValueError(f"the weights do not fit the encoder {encoder.name!r}: {'; '.join(problems)}")
    for name, variable in variables.items():
        variable.assign(values[name])


def _is_encoder_tensor(name: str) -> bool:
    return not name.startswith(_OUTSIDE_THE_ENCODER) and not name.endswith(_BATCH_COUNTER)


def _keras_layout(array: np.ndarray) -> np.ndarray:
    """Moves the channel axes of kernels: `(out, in, ...)` becomes `(..., in, out)`."""
    if array.ndim <= 1:
        return array
    return np.moveaxis(array, (0, 1), (-1, -2))


def _listed(names: Sequence[str]) -> str:
    if not names:
        return "nothing"
    text = ", ".join(names[:_MAX_NAMES_IN_ERROR])
    more = len(names) - _MAX_NAMES_IN_ERROR
    if more > 0:
        text += f" and {more} more"
    return text
