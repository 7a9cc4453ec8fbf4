"""The contrastive objective: NT-Xent over the crops of a batch (paper, eq. 1; SimCLR)."""

from collections.abc import Callable

from keras import ops, tree

from models.typing import Tensor

_AT_A_TIME = 2**25  # similarities held at once, of 4 bytes
_NONE = -1e9  # cosine of what is no negative
_ROUNDING = 1e-6  # of a float32 cosine


def nt_xent(z_a: Tensor, z_b: Tensor, *, temperature: float = 0.1, block: int | None = None) -> Tensor:
    """Loss of each positive pair, `L_ij + L_ji` of eq. (1).

    The 2N x 2N similarities are never held whole, for the gradient neither: it computes them again, block by block.

    Args:
        z_a: `(N, d)` projections of the first views; need not be normalised.
        z_b: `(N, d)` projections of the second views, in the same order.
        temperature: tau; similarities are cosine / tau.
        block: Pairs whose similarities to all crops are held at a time; by default as many as take 128 MB, which are
            all up to N = 2896. It changes memory and time, not the loss.

    Returns:
        `(N,)` float32. The denominator of an anchor runs over the 2N - 1 other crops: its positive and all others of
        both branches. At equal similarities each pair's loss is `2 ln(2N - 1)`.
    """
    loss, _ = nt_xent_with_logs(z_a, z_b, temperature=temperature, block=block)
    return loss


def nt_xent_with_logs(
    z_a: Tensor, z_b: Tensor, *, temperature: float = 0.1, block: int | None = None
) -> tuple[Tensor, dict[str, Tensor]]:
    """`nt_xent` and what is worth logging about it.

    Returns:
        The `(N,)` losses, and a dict of float32 scalars, which carry no gradient:

        * `top1`: share of anchors whose positive is the most similar of the 2N - 1. A tie, to 1e-6, is no hit.
        * `positive_similarity`, `negative_similarity`: mean cosines.
        * `alignment`: mean squared distance of positives on the sphere.
        * `uniformity`: log of the mean of exp(-2 distance^2) over distinct crops of one branch, mean of the branches
          (Wang & Isola 2020, as is `alignment`).

        A single pair has no negatives: then `top1` is 1, `negative_similarity` and `uniformity` are 0.
    """
    z = ops.stack([_unit(z_a), _unit(z_b)])
    loss, hardest, gaussian = _losses(z, temperature=temperature, block=block)
    return loss, _logs(*(ops.stop_gradient(x) for x in (z, hardest, gaussian)))


def _unit(z: Tensor) -> Tensor:
    """Rows of length 1, in float32; a zero row stays zero."""
    z = ops.cast(z, "float32")
    # clipped under the root: ops.normalize has no gradient at zero on JAX
    return z * ops.rsqrt(ops.maximum(ops.sum(ops.square(z), axis=-1, keepdims=True), 1e-14))


def _losses(z: Tensor, *, temperature: float, block: int | None) -> tuple[Tensor, Tensor, Tensor]:
    """Of `(2, N, d)` unit vectors: the loss; each anchor's largest negative cosine and its Gaussian potential."""
    n, dim = ops.shape(z)[1:]

    @ops.custom_gradient
    def losses(z: Tensor):
        z = ops.stop_gradient(z)  # or TensorFlow's eager tape keeps every block
        positive = ops.sum(z[0] * z[1], axis=-1) / temperature
        found = _by_blocks(lambda pairs: _statistics(z, pairs, temperature=temperature), n, 3, block=block)
        negatives, hardest, gaussian = (found[..., i] for i in range(3))
        anchors = ops.softplus(negatives - positive)  # = logsumexp over all - positive, without its cancellation
        denominators = positive + anchors

        def gradient(*upstream):
            weights = tree.flatten(upstream)[0]  # one argument, or one per output: the backends differ
            scale = {"weights": weights, "denominators": denominators, "temperature": temperature}
            pulled = _by_blocks(lambda pairs: _pull(z, pairs, **scale), n, dim, block=block)
            push = weights * ops.sum(ops.sigmoid(negatives - positive), axis=0)  # 1 - the share of the positive
            return (pulled - push[:, None] * ops.flip(z, axis=0)) / temperature

        return (ops.sum(anchors, axis=0), hardest, gaussian), gradient

    return losses(z)


def _statistics(z: Tensor, pairs: Tensor, *, temperature: float) -> Tensor:
    """Of each anchor: logsumexp of its negatives, the largest negative cosine, the Gaussian potential."""
    cosines = _negatives(z, pairs)
    hardest = ops.max(cosines, axis=(2, 3))
    summed = ops.sum(ops.exp((cosines - hardest[:, :, None, None]) / temperature), axis=(2, 3))
    own = ops.stack([cosines[0, :, 0], cosines[1, :, 1]])
    gaussian = ops.sum(ops.exp(4.0 * own - 4.0), axis=2)  # the squared distance is 2 - 2 cosine
    return ops.stack([hardest / temperature + ops.log(summed), hardest, gaussian], axis=-1)


def _pull(z: Tensor, pairs: Tensor, *, weights: Tensor, denominators: Tensor, temperature: float) -> Tensor:
    """Sum of each anchor's negatives, each by its share of both crops' denominators: similarity is symmetric."""
    similarity = _negatives(z, pairs) / temperature
    own_weights = ops.take(weights, pairs)[:, None, None]
    own_denominators = ops.take(denominators, pairs, axis=1)[:, :, None, None]
    shares = own_weights * ops.exp(similarity - own_denominators) + weights * ops.exp(similarity - denominators)
    return ops.einsum("apbq,bqd->apd", shares, z)


def _negatives(z: Tensor, pairs: Tensor) -> Tensor:
    """Cosines of these pairs' crops with all, `(2, len(pairs), 2, N)`, but `_NONE` with themselves and each other."""
    cosines = ops.einsum("apd,bqd->apbq", ops.take(z, pairs, axis=1), z)
    same = pairs[:, None] == ops.arange(ops.shape(z)[1])
    return ops.where(same[:, None], _NONE, cosines)


def _by_blocks(rows: Callable[[Tensor], Tensor], n: int | Tensor, width: int, *, block: int | None) -> Tensor:
    """`rows` of all n pairs, `(2, n, width)`, given a block of their indices at a time."""
    count = -(-n // (block or _AT_A_TIME // (4 * n)))
    if isinstance(count, int) and count == 1:
        return rows(ops.arange(n))
    size = -(-n // count)

    def step(_: Tensor, i: Tensor):
        found = rows(ops.minimum(i * size + ops.arange(size), n - 1))
        return found, found

    # scan rather than map, which on TensorFlow works on several blocks at once
    _, found = ops.scan(step, ops.zeros((2, size, width)), ops.arange(count))
    return ops.reshape(ops.moveaxis(found, 1, 0), (2, count * size, width))[:, :n]


def _logs(z: Tensor, hardest: Tensor, gaussian: Tensor) -> dict[str, Tensor]:
    n = ops.cast(ops.shape(z)[1], "float32")
    others = ops.maximum(n - 1.0, 1.0)
    positive = ops.sum(z[0] * z[1], axis=-1)
    similarity = ops.sum(ops.square(ops.sum(z, axis=(0, 1)))) - ops.sum(ops.square(z)) - 2.0 * ops.sum(positive)
    potential = ops.where(n > 1.0, ops.mean(gaussian, axis=1) / others, 1.0)
    return {
        "top1": ops.mean(ops.cast(positive > hardest + _ROUNDING, "float32")),
        "positive_similarity": ops.mean(positive),
        "negative_similarity": similarity / (4.0 * n * others),
        "alignment": ops.mean(ops.sum(ops.square(z[0] - z[1]), axis=-1)),
        "uniformity": ops.mean(ops.log(potential)),
    }
