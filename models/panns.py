"""Weights of PANNs (Kong et al. 2020) for the eight encoders that are PANNs' networks without their linear layers.

A layer with weights bears the path of its PANNs module, `conv_block1.conv1` or `resnet.layer2.0.downsample.1`, so layer
and role name the tensor that belongs to it.
"""

from collections.abc import Iterable, Mapping

import keras
import numpy as np

from models import catalog

_ROLES = {
    "kernel": "weight",
    "gamma": "weight",
    "beta": "bias",
    "moving_mean": "running_mean",
    "moving_variance": "running_var",
}
# The front end, which holds no trained weights, and the linear layers.
_NOT_OURS = ("spectrogram_extractor.", "logmel_extractor.", "fc1.", "fc_audioset.")
_COUNTER = ".num_batches_tracked"
_SHOWN = 10  # names in an error


def identify(arrays: Mapping[str, np.ndarray]) -> str:
    """Tells from a network's tensors which encoder it is.

    PANNs count a network's depth in convolutions, those of shortcuts aside, and the two linear layers.

    Args:
        arrays: PANNs tensor name -> array, or anything with a `shape`.

    Returns:
        One of `models.catalog.ENCODERS`.

    Raises:
        ValueError: if it is none of PANNs' networks that Diptych has.
    """
    own = [name for name in arrays if _is_ours(name)]
    depth = 2 + sum(len(arrays[name].shape) > 2 and ".downsample." not in name for name in own)
    family = "cnn"
    if any(name.startswith("resnet.") for name in own):
        family = "res1dnet" if "conv0.weight" in own else "resnet"
    if f"{family}{depth}" not in catalog.ENCODERS:
        known = ", ".join(name for name in catalog.ENCODERS if not name.startswith("conv"))
        raise ValueError(f"the weights are of none of PANNs' networks {known}, but hold {_listed(own)}")
    return f"{family}{depth}"


def assign(encoder: keras.Model, arrays: Mapping[str, np.ndarray]) -> None:
    """Gives an encoder the weights of a PANNs network; all of them or, on an error, none.

    Args:
        encoder: From `models.encoders.build`, with the norm and the bands of the network.
        arrays: PANNs tensor name -> array in torch's layout, `(out, in, ...)` for kernels. What belongs to the front
            end or to the two linear layers is ignored.

    Raises:
        ValueError: listing the tensors that are missing, of another shape, or left over.
    """
    variables = {f"{layer.name}.{_ROLES[weight.name]}": weight for layer in encoder.layers for weight in layer.weights}
    values = {name: _keras_layout(np.asarray(array)) for name, array in arrays.items() if _is_ours(name)}
    pairs = {name: (values[name].shape, tuple(variables[name].shape)) for name in variables if name in values}
    wrong = {
        "without": [name for name in variables if name not in values],
        "besides": [name for name in values if name not in variables],
        "in another shape": [f"{name} {found} for {shape}" for name, (found, shape) in pairs.items() if found != shape],
    }
    if any(wrong.values()):
        found = "; ".join(f"{what} {_listed(names)}" for what, names in wrong.items() if names)
        raise ValueError(f"the weights do not fit the encoder {encoder.name!r}: {found}")
    for name, variable in variables.items():
        variable.assign(values[name])


def _is_ours(name: str) -> bool:
    return not name.startswith(_NOT_OURS) and not name.endswith(_COUNTER)


def _keras_layout(array: np.ndarray) -> np.ndarray:
    """Kernels `(out, in, ...)` as `(..., in, out)`; all else is one-dimensional."""
    return np.moveaxis(array, (0, 1), (-1, -2)) if array.ndim > 1 else array


def _listed(names: Iterable[str]) -> str:
    names = list(names)
    more = len(names) - _SHOWN
    return ", ".join(names[:_SHOWN]) + (f" and {more} more" if more > 0 else "") if names else "nothing"
