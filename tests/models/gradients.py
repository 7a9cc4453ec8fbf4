"""Gradients on the backend that Keras runs on, TensorFlow or JAX."""

import contextlib
from collections.abc import Callable, Iterator, Sequence

import keras
import numpy as np


def value_and_gradients(fn: Callable, arrays: Sequence[np.ndarray]) -> tuple[np.ndarray, list[np.ndarray]]:
    """Returns the scalar `fn(*arrays)` and its gradients with respect to the arrays."""
    # The backends are imported in the branches because only one of them need be installed.
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
    """Builds and runs models in float64 within the block.

    In float32, rounding can switch a ReLU or the maximum of a pooling, and whether it does depends on the processor.
    One such switch in the last stage of Res1dNet31 changes the gradient by 1 %.
    """
    policy, floatx = keras.config.dtype_policy(), keras.config.floatx()
    keras.config.set_floatx("float64")
    keras.config.set_dtype_policy("float64")
    is_jax = keras.backend.backend() == "jax"
    if is_jax:
        import jax  # only here, because it is not installed with TensorFlow

        jax.config.update("jax_enable_x64", True)
    try:
        yield
    finally:
        keras.config.set_floatx(floatx)
        keras.config.set_dtype_policy(policy)
        if is_jax:
            jax.config.update("jax_enable_x64", False)
