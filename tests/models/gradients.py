"""Gradients on whichever backend Keras runs on."""

from collections.abc import Callable, Sequence

import keras
import numpy as np


def value_and_gradients(fn: Callable, arrays: Sequence[np.ndarray]) -> tuple[np.ndarray, list[np.ndarray]]:
    """The scalar `fn(*arrays)` and its gradient by each of the arrays."""
    tensors = [keras.ops.convert_to_tensor(array) for array in arrays]
    backend = keras.backend.backend()
    if backend == "tensorflow":
        import tensorflow as tf

        with tf.GradientTape() as tape:
            tape.watch(tensors)
            value = fn(*tensors)
        gradients = tape.gradient(value, tensors, unconnected_gradients=tf.UnconnectedGradients.ZERO)
    elif backend == "jax":
        import jax

        value, gradients = jax.value_and_grad(fn, argnums=tuple(range(len(tensors))))(*tensors)
    else:
        raise NotImplementedError(f"No gradients for Keras' backend {backend!r}.")
    return np.asarray(value), [np.asarray(gradient) for gradient in gradients]
