"""Gradients on whichever backend Keras runs on."""

import contextlib
from collections.abc import Callable, Iterator, Sequence

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


@contextlib.contextmanager
def double_precision() -> Iterator[None]:
    """Within the block models are built and computed in float64.

    In float32 a gradient is that of a neighbouring network wherever rounding crosses a ReLU or picks the other maximum
    of a pool, which depends on the processor: one crossing in the last stage of Res1dNet31 is 1 % of its gradient.
    """
    policy, floatx = keras.config.dtype_policy(), keras.config.floatx()
    keras.config.set_floatx("float64")
    keras.config.set_dtype_policy("float64")
    is_jax = keras.backend.backend() == "jax"
    if is_jax:
        import jax

        jax.config.update("jax_enable_x64", True)
    try:
        yield
    finally:
        keras.config.set_floatx(floatx)
        keras.config.set_dtype_policy(policy)
        if is_jax:
            jax.config.update("jax_enable_x64", False)
