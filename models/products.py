"""Matrix products in float32 accuracy on devices whose own products have less.

TPUs round the factors of a float32 product to bfloat16, and NVIDIA GPUs since Ampere round them to TF32. The errors are
relative to the largest terms, so they matter where large terms cancel.

A float32 number has 24 significant bits and a bfloat16 number has 8, so every float32 number is the sum of three
bfloat16 numbers, its pieces. Neither rounding changes a piece, and products are summed in float32 everywhere. With
x = x1 + x2 + x3 and m = m1 + m2 + m3, each piece at most 2^-7 of the one before it,

    x m = x1 m1 + (x1 m2 + x2 m1) + (x1 m3 + x2 m2 + x3 m1)

up to terms of 2^-21, which is six products. XLA calls this `Precision.HIGHEST`, but Keras has no such option.

LiteRT and ONNX Runtime round no factors on a CPU. What is traced for them, within `kept_in_float32`, therefore holds
one product in place of the six, in a form whose matrix their converters leave in float32 when they quantize weights.
"""

import contextlib
import contextvars
from collections.abc import Iterator

import numpy as np
from keras import ops

from models.typing import Tensor

_PIECES = 3
_PRODUCTS = [(2, 0), (1, 1), (0, 2), (1, 0), (0, 1), (0, 0)]  # the smallest first, so that none is rounded away
_UPPER_16_BITS = -(2**16)  # as int32: sign, exponent and the first bits of the significand, i.e. a bfloat16 number

_kept_in_float32: contextvars.ContextVar[bool] = contextvars.ContextVar("kept_in_float32", default=False)


@contextlib.contextmanager
def kept_in_float32() -> Iterator[None]:
    """Makes the products of this module plain ones, within the `with` block, that no converter quantizes.

    Integers of 8 bits span 42 dB. The power of a frame spans far more, so its quiet bands would become zero.
    """
    token = _kept_in_float32.set(True)
    try:
        yield
    finally:
        _kept_in_float32.reset(token)


def are_kept_in_float32() -> bool:
    """Returns whether a `kept_in_float32` block is being executed."""
    return _kept_in_float32.get()


def product(x: Tensor, matrix: np.ndarray) -> Tensor:
    """Returns `x @ matrix` in the accuracy of the device; see `float32_product` for the arguments."""
    if not are_kept_in_float32():
        return ops.matmul(x, matrix)
    # Converters quantize a constant on the right of a product only.
    rank = len(x.shape)
    swapped = [*range(rank - 2), rank - 1, rank - 2]
    return ops.transpose(ops.matmul(np.ascontiguousarray(matrix.T), ops.transpose(x, swapped)), swapped)


def float32_product(x: Tensor, matrix: np.ndarray) -> Tensor:
    """Returns `x @ matrix` in float32 accuracy on every device.

    The gradient with respect to `x` is that of a product, in the accuracy of the device.

    Args:
        x: float32 `(..., n)`.
        matrix: float32 `(n, m)`, a constant.

    Returns:
        float32 `(..., m)`.
    """
    if are_kept_in_float32():
        return product(x, matrix)
    x_pieces, matrix_pieces = _split(x), _split_constant(matrix)
    total = 0.0
    for i, j in _PRODUCTS:
        total = total + ops.matmul(x_pieces[i], matrix_pieces[j])
    return total


def _split(x: Tensor) -> list[Tensor]:
    """Returns the three pieces of each number, the largest first. Only the first has a gradient."""
    pieces = []
    for _ in range(_PIECES - 1):
        # Not a cast to bfloat16 and back, which XLA removes.
        upper = ops.view(ops.bitwise_and(ops.view(ops.stop_gradient(x), "int32"), _UPPER_16_BITS), "float32")
        pieces.append(x + ops.stop_gradient(upper - x))  # has the value of `upper` and the gradient of `x`
        x = x - pieces[-1]
    return [*pieces, x]


def _split_constant(matrix: np.ndarray) -> list[np.ndarray]:
    pieces = []
    for _ in range(_PIECES - 1):
        pieces.append((matrix.view(np.int32) & _UPPER_16_BITS).view(np.float32))
        matrix = matrix - pieces[-1]
    return [*pieces, matrix]
