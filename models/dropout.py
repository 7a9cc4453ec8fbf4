"""Dropout whose masks do not depend on how a batch is split.

Keras' dropout advances a random state with each call, so masks differ with the number of replicas and micro-batches.
Here an example has a key of its own. A mask is a hash of the key, of the layer and of the place in the activation.
"""

import contextlib
import contextvars
import math
from collections.abc import Iterator

import keras
import numpy as np
from keras import ops

from models.typing import Tensor

DRAWS_PER_KEY = 2
"""Random numbers that make the key of an example. A float32 has too few bits for a key."""


# The keys of the examples, uint32 (batch,). Replicas are traced in threads of their own, and a context variable has a
# value for each thread.
_keys_in_scope: contextvars.ContextVar[Tensor | None] = contextvars.ContextVar("dropout_keys", default=None)


@contextlib.contextmanager
def masks_from(draws: Tensor | None) -> Iterator[None]:
    """Makes the `Dropout` layers that are called in the `with` block derive their masks from random numbers.

    Args:
        draws: `(batch, DRAWS_PER_KEY)` float32 in [0, 1). If None, the layers draw masks of their own, as Keras' do.
    """
    keys = None
    if draws is not None:
        high, low = (ops.cast(ops.floor(draws[:, i] * 2.0**16), "uint32") for i in range(DRAWS_PER_KEY))
        keys = _hash(ops.bitwise_xor(ops.left_shift(high, _uint32(16)), low))
    token = _keys_in_scope.set(keys)
    try:
        yield
    finally:
        _keys_in_scope.reset(token)


@keras.saving.register_keras_serializable("diptych")
class Dropout(keras.layers.Dropout):
    """`keras.layers.Dropout` whose masks derive from the examples' keys within `masks_from`.

    Attributes:
        index: Number of the layer in its encoder. Layers with the same number have the same masks.
    """

    index = 0

    def call(self, inputs: Tensor, training: bool = False) -> Tensor:
        keys = _keys_in_scope.get()
        if keys is None or not training or not self.rate:
            return super().call(inputs, training=training)
        places = _hash(ops.cast(ops.arange(math.prod(ops.shape(inputs)[1:])), "uint32"))  # (places,)
        keys = _hash(ops.bitwise_xor(keys, _hash(_uint32(self.index))))  # (batch,)
        bits = _hash(ops.bitwise_xor(places, keys[:, None]))  # (batch, places), uniform
        keep = ops.greater_equal(bits, _uint32(round(self.rate * 2**32)))
        return ops.where(ops.reshape(keep, ops.shape(inputs)), inputs / (1.0 - self.rate), 0.0)


def number_layers(model: keras.Model) -> None:
    """Numbers the `Dropout` layers of a model from 1, so that each has masks of its own."""
    layers = [layer for layer in model.layers if isinstance(layer, Dropout)]
    for index, layer in enumerate(layers, start=1):
        layer.index = index


def _hash(x: Tensor) -> Tensor:
    """Maps uint32 to uint32 one to one, so that each bit of the result depends on all bits of `x` (lowbias32)."""
    x = ops.bitwise_xor(x, ops.right_shift(x, _uint32(16))) * _uint32(0x7FEB352D)
    x = ops.bitwise_xor(x, ops.right_shift(x, _uint32(15))) * _uint32(0x846CA68B)
    return ops.bitwise_xor(x, ops.right_shift(x, _uint32(16)))


def _uint32(value: int) -> Tensor:
    return ops.convert_to_tensor(np.uint32(value))
