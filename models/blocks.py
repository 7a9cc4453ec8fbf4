"""Computes something of many pairs a block of them at a time, so that not all of it is in memory at once."""

from collections.abc import Callable

from keras import ops

from models.typing import Tensor


def apply(
    function: Callable[[Tensor], Tensor], *, width: int, first: Tensor | int, n: Tensor | int, block: Tensor | int
) -> Tensor:
    """Applies a function to the pairs `first`, ..., `first + n - 1`, at most `block` of them at a time.

    Args:
        function: Maps the `(B,)` indices of some pairs to `(2, B, width)`.
        width: See `function`.
        first: Index of the first pair.
        n: Number of pairs.
        block: Maximum number of pairs at a time.

    Returns:
        `(2, n, width)`.
    """
    blocks = -(-n // block)
    if isinstance(blocks, int) and blocks == 1:
        return function(first + ops.arange(n))
    size = -(-n // blocks)  # All blocks have this size. The last one repeats the last pair to fill up.

    def step(_: Tensor, index: Tensor) -> tuple[Tensor, Tensor]:
        values = function(first + ops.minimum(index * size + ops.arange(size), n - 1))  # (2, size, width)
        return values, values

    # `ops.scan`, because `ops.map` computes several blocks at once on TensorFlow.
    _, values = ops.scan(step, ops.zeros((2, size, width)), ops.arange(blocks))  # (blocks, 2, size, width)
    return ops.reshape(ops.moveaxis(values, 1, 0), (2, blocks * size, width))[:, :n]
