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
    z_a: Tensor,
    z_b: Tensor,
    *,
    temperature: float = 0.1,
    block: int | None = None,
    gather: Callable[[Tensor], Tensor] | None = None,
    first: Tensor | int = 0,
) -> tuple[Tensor, dict[str, Tensor]]:
    """`nt_xent` and what is worth logging about it; also of a batch that is spread over replicas.

    A replica of several works out the rows of its own pairs alone, and the gradient of its own projections. That
    gradient is of the losses of all replicas, which each of them must weigh as its own.

    Args:
        z_a: As for `nt_xent`; of several replicas this one's.
        z_b: Likewise.
        temperature: As for `nt_xent`.
        block: Likewise.
        gather: Concatenates the replicas' `(2, n, ...)` values along axis 1; None where there is but one.
        first: Where in the whole batch this replica's pairs begin.

    Returns:
        The losses, one for each pair of `z_a` and `z_b`, and a dict of float32 scalars of the whole batch, which carry
        no gradient:

        * `top1`: share of anchors whose positive is the most similar of the 2N - 1. A tie, to 1e-6, is no hit.
        * `positive_similarity`, `negative_similarity`: mean cosines.
        * `alignment`: mean squared distance of positives on the sphere.
        * `uniformity`: log of the mean of exp(-2 distance^2) over distinct crops of one branch, mean of the branches
          (Wang & Isola 2020, as is `alignment`).

        A single pair has no negatives: then `top1` is 1, `negative_similarity` and `uniformity` are 0.
    """
    z = ops.stack([_unit(z_a), _unit(z_b)])
    loss, *rest = _losses(z, temperature=temperature, block=block, gather=gather or (lambda own: own), first=first)
    return loss, _logs(*(ops.stop_gradient(x) for x in rest))


def _unit(z: Tensor) -> Tensor:
    """Rows of length 1, in float32; a zero row stays zero."""
    z = ops.cast(z, "float32")
    # clipped under the root: ops.normalize has no gradient at zero on JAX
    return z * ops.rsqrt(ops.maximum(ops.sum(ops.square(z), axis=-1, keepdims=True), 1e-14))


def _losses(
    own: Tensor, *, temperature: float, block: int | None, gather: Callable[[Tensor], Tensor], first: Tensor | int
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """The losses of a replica's `(2, n, d)` unit vectors, and what the logs are made of.

    Returns:
        The `(n,)` losses; of the whole batch `(2, N, d)` unit vectors, each anchor's largest negative cosine and its
        Gaussian potential.
    """
    n, dim = ops.shape(own)[1:]

    @ops.custom_gradient
    def losses(own: Tensor):
        own = ops.stop_gradient(own)  # or TensorFlow's eager tape keeps every block
        z = gather(own)
        rows = {"n": n, "first": first, "size": ops.shape(z)[1], "block": block}
        positive = ops.sum(own[0] * own[1], axis=-1) / temperature
        found = _by_blocks(lambda pairs: _statistics(z, pairs, temperature=temperature), 3, **rows)
        negatives, hardest, gaussian = (found[..., i] for i in range(3))
        anchors = ops.softplus(negatives - positive)  # = logsumexp over all - positive, without its cancellation
        everyones = gather(ops.stack([positive + anchors, hardest, gaussian], axis=-1))
        denominators, hardest, gaussian = (everyones[..., i] for i in range(3))

        def gradient(*upstream):
            weights = tree.flatten(upstream)[0]  # one argument, or one per output: the backends differ
            both = ops.broadcast_to(weights, (2, n))
            scale = {"weights": gather(both)[0], "denominators": denominators, "temperature": temperature}
            pulled = _by_blocks(lambda pairs: _pull(z, pairs, **scale), dim, **rows)
            push = weights * ops.sum(ops.sigmoid(negatives - positive), axis=0)  # 1 - the share of the positive
            return (pulled - push[:, None] * ops.flip(own, axis=0)) / temperature

        return (ops.sum(anchors, axis=0), z, hardest, gaussian), gradient

    return losses(own)


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


def _by_blocks(
    rows: Callable[[Tensor], Tensor],
    width: int,
    *,
    n: int | Tensor,
    first: int | Tensor,
    size: int | Tensor,
    block: int | None,
) -> Tensor:
    """`rows` of the n pairs from `first` on, `(2, n, width)`, given some of their indices among `size` at a time."""
    count = -(-n // (block or _AT_A_TIME // (4 * size)))
    if isinstance(count, int) and count == 1:
        return rows(first + ops.arange(n))
    each = -(-n // count)

    def step(_: Tensor, i: Tensor):
        found = rows(first + ops.minimum(i * each + ops.arange(each), n - 1))
        return found, found

    # scan rather than map, which on TensorFlow works on several blocks at once
    _, found = ops.scan(step, ops.zeros((2, each, width)), ops.arange(count))
    return ops.reshape(ops.moveaxis(found, 1, 0), (2, count * each, width))[:, :n]


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
