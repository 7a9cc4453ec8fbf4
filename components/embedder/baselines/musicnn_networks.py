"""The two networks of the musicnn package (Pons and Serra 2019), as functions of their weights.

The numbers of channels follow from the weights. The networks are as in inference, up to the embedding: without dropout
and without the last layer, which gives a score for each tag.
"""

import functools
from collections.abc import Callable, Mapping, Sequence

import tensorflow as tf

Weights = Mapping[str, tf.Tensor]
"""Name of a variable in the checkpoint -> value. Layers of a kind are numbered in the order of the code."""

Pool = tuple[int | tuple[int, int], int | tuple[int, int]]
"""Size and strides of a pooling, over frames and bands."""

_EPSILON = 1e-3  # Of TensorFlow 1's batch normalization.


def musicnn(log_mel: tf.Tensor, weights: Weights) -> dict[str, tf.Tensor]:
    """Embeds spectrograms with the network whose filters have the shapes of timbre and of rhythm.

    Args:
        log_mel: float32 (batch, frames, bands).
        weights: Of `MTT_musicnn`, `MSD_musicnn` or a larger one.

    Returns:
        `penultimate` (batch, 200), the last layer before the tags, and `mean_pool` and `max_pool` (batch, 753), the
        means and the maxima over time of all feature maps, from which it is computed.
    """
    x = _normalized(log_mel[..., None], weights, 0)  # (batch, frames, bands, 1)
    timbral = [_front_end(_padded(x), weights, number, padding="VALID") for number in (0, 1)]
    temporal = [_front_end(x, weights, number, padding="SAME") for number in (2, 3, 4)]
    maps = [tf.concat([*timbral, *temporal], axis=2)]  # (batch, frames, channels) each
    hidden = maps[0]
    for number in (5, 6, 7):
        # The filters span all channels, so that the result has one column, and its filters are the new channels.
        convolved = _normalized(_convolved(_padded(hidden[..., None]), weights, number), weights, number + 1)
        convolved = tf.squeeze(convolved, axis=2)
        hidden = convolved if number == 5 else hidden + convolved
        maps.append(hidden)
    features = tf.concat(maps, axis=2)
    mean_pool, max_pool = tf.reduce_mean(features, axis=1), tf.reduce_max(features, axis=1)
    pooled = tf.stack([max_pool, mean_pool], axis=-1)  # (batch, channels, 2)
    flat = _normalized(tf.reshape(pooled, (tf.shape(pooled)[0], -1)), weights, 9)
    dense = tf.nn.relu(tf.matmul(flat, weights["dense/kernel"]) + weights["dense/bias"])
    return {"penultimate": _normalized(dense, weights, 10), "mean_pool": mean_pool, "max_pool": max_pool}


def vgg(log_mel: tf.Tensor, weights: Weights, *, first_pools: Sequence[Pool]) -> dict[str, tf.Tensor]:
    """Embeds spectrograms with five layers of square filters.

    Args:
        log_mel: float32 (batch, frames, bands).
        weights: Of `MTT_vgg` or `MSD_vgg`.
        first_pools: The poolings after the first two layers.

    Returns:
        `pool5` (batch, 256), the input of the last layer.
    """
    x = _normalized(log_mel[..., None], weights, 0)
    for number, (size, strides) in enumerate([*first_pools, (2, 2), (2, 2), (4, 4)], 1):
        x = _convolved(x, weights, f"{number}CNN", padding="SAME")
        x = tf.nn.max_pool2d(_normalized(x, weights, number), size, strides, padding="VALID")
    return {"pool5": tf.reshape(x, (tf.shape(x)[0], -1))}


NETWORKS: Mapping[str, Callable[[tf.Tensor, Weights], dict[str, tf.Tensor]]] = {
    "MTT_musicnn": musicnn,
    "MSD_musicnn": musicnn,
    "MTT_vgg": functools.partial(vgg, first_pools=[((4, 1), (2, 2)), (2, 2)]),
    # The graph that was trained pools like this. The code of musicnn 0.1.0 pools like that of `MTT_vgg`.
    "MSD_vgg": functools.partial(vgg, first_pools=[((4, 1), (4, 1)), ((1, 4), (1, 4))]),
}
"""The networks in the wheel."""


def _front_end(x: tf.Tensor, weights: Weights, number: int, *, padding: str) -> tf.Tensor:
    """Returns the maxima over frequency of one layer, (batch, frames, channels)."""
    return tf.reduce_max(_normalized(_convolved(x, weights, number, padding=padding), weights, number + 1), axis=2)


def _padded(x: tf.Tensor) -> tf.Tensor:
    """Adds three frames of zeros at both ends, for filters of seven frames."""
    return tf.pad(x, [[0, 0], [3, 3], [0, 0], [0, 0]])


def _convolved(x: tf.Tensor, weights: Weights, layer: int | str, *, padding: str = "VALID") -> tf.Tensor:
    name = layer if isinstance(layer, str) else _numbered("conv2d", layer)
    return tf.nn.relu(tf.nn.conv2d(x, weights[f"{name}/kernel"], 1, padding) + weights[f"{name}/bias"])


def _normalized(x: tf.Tensor, weights: Weights, number: int) -> tf.Tensor:
    name = _numbered("batch_normalization", number)
    mean, variance, beta, gamma = (
        weights[f"{name}/{variable}"] for variable in ("moving_mean", "moving_variance", "beta", "gamma")
    )
    return tf.nn.batch_normalization(x, mean, variance, beta, gamma, _EPSILON)


def _numbered(kind: str, number: int) -> str:
    return f"{kind}_{number}" if number else kind
