"""The contrastive loss: NT-Xent over the crops of a batch (paper, eq. (1); SimCLR).

The batch has N pairs of crops, one crop per branch, of as many clips. The two crops of a pair are positives. With
branches b, c and pairs p, q:

    z[b, p]         = projection of the crop, divided by its length       (2, N, d)
    sim[b, p, c, q] = z[b, p] . z[c, q]                                   (2, N, 2, N)    cosine similarity
    positive[p]     = sim[0, p, 1, p] / tau                               (N,)
    negatives[b, p] = logsumexp of sim[b, p, c, q] / tau over c, q != p   (2, N)

Loss. For an anchor i with its positive j, the denominator of eq. (1) runs over j and the 2N - 2 negatives of i:

    L_ij = -log(exp(positive) / (exp(positive) + exp(negatives_i))) = softplus(negatives_i - positive)
    loss[p] = L_ij + L_ji                                                 (N,)

Gradient. Let w_i be the upstream gradient of the loss of anchor i's pair, and P_ik the share of crop k in the
denominator of anchor i:

    log_denominator_i = positive + L_ij                                   (2, N)
    P_ik              = exp(sim_ik / tau - log_denominator_i)

The normalized z_i occurs in the losses of three kinds of anchors. Each contributes to its gradient, times tau:

    i itself:              w_i (sum_k P_ik z_k - (1 - P_ij) z_j)          k: negatives of i
    its positive j:        w_i (               - (1 - P_ji) z_j)
    each negative k of i:  w_k P_ki z_k                                   because i is a negative of k, too

    tau * dz_i = sum_k (w_i P_ik + w_k P_ki) z_k - w_i (1 - P_ij + 1 - P_ji) z_j
    1 - P_ij   = sigmoid(negatives_i - positive)

Decoupled (DCL, Yeh et al. 2022): the positive is left out of the denominator, which then is that of the negatives:

    L_ij              = negatives_i - positive
    log_denominator_i = negatives_i, and each 1 - P_ij above becomes 1

With several pairs a clip, K of them, the crops of the other pairs of the anchor's clip are neither positives nor
negatives. In all of this, negatives are crops of other clips, and 2N - 2 becomes 2N - 2K.

sim is symmetric, so anchor i's row of similarities and the log-denominators of all crops give P_ki as well as P_ik,
and both from one exponential:

    s_i                 = w_i exp(1 / tau - log_denominator_i)
    w_i P_ik + w_k P_ki = (s_i + s_k) exp((sim_ik - 1) / tau)

Each replica therefore needs only the rows of its own anchors. It computes them a block of anchors at a time, once for
the loss and again for the gradient, so that the 2N x 2N similarities are never in memory at once.
"""

import functools
from collections.abc import Callable

from keras import ops, tree

from models import blocks, contrastive_logs
from models.typing import Tensor

MAX_SIMILARITIES = 2**25
"""How many similarities are in memory at once unless `block` says so: 128 MB of float32."""

# The two factors of a coefficient go to exp(-2 / tau) and exp(2 / tau). From this tau on, float32 holds them.
_LOWEST_TAU_OF_ONE_EXPONENTIAL = 0.03
_NOT_A_NEGATIVE = -1e9  # in place of a logit, so that its exponential is 0


def nt_xent(
    z_a: Tensor,
    z_b: Tensor,
    *,
    temperature: Tensor | float = 0.1,
    decoupled: bool = False,
    pairs_per_clip: int = 1,
    block: int | None = None,
) -> Tensor:
    """Returns the loss of each positive pair, `L_ij + L_ji` of eq. (1).

    Args:
        z_a: `(N, d)` projections of branch A's crops. They need not be normalized.
        z_b: `(N, d)` projections of the other crops of the pairs, branch B's, in the same order.
        temperature: tau.
        decoupled: Whether the positive is left out of the denominator.
        pairs_per_clip: How many consecutive pairs are of one clip. Crops of one clip are no negatives of each other.
        block: Number of pairs whose similarities are in memory at once. By default they take at most 128 MB, which
            is the whole batch up to N = 2896. The block size changes memory and time, but not the loss.

    Returns:
        `(N,)` float32. If all similarities are equal, each loss is `2 ln(2N - 2K + 1)` with K pairs per
        clip, and `2 ln(2N - 2K)` if decoupled.
    """
    loss, _ = nt_xent_with_logs(
        z_a, z_b, temperature=temperature, decoupled=decoupled, pairs_per_clip=pairs_per_clip, block=block
    )
    return loss


def nt_xent_with_logs(
    z_a: Tensor,
    z_b: Tensor,
    *,
    temperature: Tensor | float = 0.1,
    decoupled: bool = False,
    pairs_per_clip: int = 1,
    block: int | None = None,
    gather: Callable[[Tensor], Tensor] | None = None,
    first: Tensor | int = 0,
) -> tuple[Tensor, dict[str, Tensor]]:
    """Returns the losses of `nt_xent` and their logs, also for a batch that is split across replicas.

    Each replica passes its n pairs, and `gather` collects the N pairs of all replicas. The gradient with respect to a
    replica's projections is that of the losses of all replicas, each with the upstream gradient on its replica.

    Args:
        z_a: `(n, d)` projections of branch A's crops.
        z_b: `(n, d)` projections of the other crops of the pairs, branch B's, in the same order.
        temperature: tau.
        decoupled: See `nt_xent`.
        pairs_per_clip: See `nt_xent`. It divides n.
        block: See `nt_xent`.
        gather: Concatenates the `(2, n, ...)` tensors of all replicas along axis 1. None if there is one replica.
        first: Index of this replica's first pair in the global batch.

    Returns:
        The `(n,)` float32 losses of this replica's pairs, and the logs of the global batch, see
        `models.contrastive_logs.compute`.
    """
    if gather is None:
        gather = _gather_one_replica
    loss, z, hardest, potential = _losses(
        ops.stack([_normalize(z_a), _normalize(z_b)]),
        temperature=temperature,
        decoupled=decoupled,
        pairs_per_clip=pairs_per_clip,
        block=block,
        gather=gather,
        first=first,
    )
    logs = contrastive_logs.compute(
        ops.stop_gradient(z),
        hardest=ops.stop_gradient(hardest),
        potential=ops.stop_gradient(potential),
        pairs_per_clip=pairs_per_clip,
    )
    return loss, logs


def _gather_one_replica(values: Tensor) -> Tensor:
    return values


def _normalize(z: Tensor) -> Tensor:
    """Returns float32 rows of length 1. A row of zeros stays zero."""
    z = ops.cast(z, "float32")
    # Not `ops.normalize`, which has no gradient at zero on JAX. Here the maximum is inside the root.
    return z * ops.rsqrt(ops.maximum(ops.sum(ops.square(z), axis=-1, keepdims=True), 1e-14))


def _losses(
    z_replica: Tensor,
    *,
    temperature: Tensor | float,
    decoupled: bool,
    pairs_per_clip: int,
    block: int | None,
    gather: Callable[[Tensor], Tensor],
    first: Tensor | int,
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Computes the loss of a replica's pairs, with the gradient that the module docstring derives.

    `z_replica` is the `(2, n, d)` normalized projections of this replica's pairs. For the other arguments see
    `nt_xent_with_logs`.

    Returns:
        The losses `(n,)`. For the global batch: z `(2, N, d)`, the similarity of each anchor's hardest negative
        `(2, N)`, and each anchor's `contrastive_logs.gaussian_potential` `(2, N)`.
    """
    n, d = ops.shape(z_replica)[1:]

    @ops.custom_gradient
    def losses(z_replica: Tensor):
        # Without stop_gradient, TensorFlow's eager tape would keep all blocks in memory.
        z_replica = ops.stop_gradient(z_replica)  # (2, n, d)
        z = gather(z_replica)  # (2, N, d)
        block_size = block or MAX_SIMILARITIES // (4 * ops.shape(z)[1])  # a pair has 2 anchors and 2N crops to compare
        in_blocks = functools.partial(blocks.apply, first=first, n=n, block=block_size)

        logits_of = functools.partial(_negative_logits, z=z, temperature=temperature, pairs_per_clip=pairs_per_clip)
        statistics = in_blocks(
            functools.partial(_anchor_statistics, logits_of=logits_of, temperature=temperature), width=3
        )
        negatives, hardest, potential = ops.unstack(statistics, num=3, axis=-1)  # (2, n) each
        positive = ops.sum(z_replica[0] * z_replica[1], axis=-1) / temperature  # (n,)
        if decoupled:
            anchor_losses, log_denominators = negatives - positive, negatives
            missing_of_positive = ops.ones_like(negatives)
        else:
            anchor_losses = ops.softplus(negatives - positive)  # (2, n): L_ij and L_ji
            log_denominators = positive + anchor_losses
            missing_of_positive = ops.sigmoid(negatives - positive)  # 1 - P_ij and 1 - P_ji

        gathered = gather(ops.stack([log_denominators, hardest, potential], axis=-1))  # (2, N, 3)
        log_denominators, hardest, potential = ops.unstack(gathered, num=3, axis=-1)  # (2, N) each

        def gradient(*upstream: Tensor) -> Tensor:
            # Keras' backends pass either one argument per output or all in one. Only the losses have a gradient.
            weights = tree.flatten(upstream)[0]  # (n,)
            all_weights = gather(ops.broadcast_to(weights, (2, n)))[0]  # (N,)
            sum_over_negatives = in_blocks(
                functools.partial(
                    _weighted_sum_of_negatives,
                    logits_of=logits_of,
                    z=z,
                    weights=all_weights,
                    log_denominators=log_denominators,
                    temperature=temperature,
                ),
                width=d,
            )  # (2, n, d)
            positive_weights = weights * ops.sum(missing_of_positive, axis=0)  # (n,)
            z_positive = ops.flip(z_replica, axis=0)  # (2, n, d): the crop of the other branch
            return (sum_over_negatives - positive_weights[:, None] * z_positive) / temperature

        return (ops.sum(anchor_losses, axis=0), z, hardest, potential), gradient

    return losses(z_replica)


def _anchor_statistics(pairs: Tensor, *, logits_of: Callable[[Tensor], Tensor], temperature: Tensor | float) -> Tensor:
    """Summarizes the negatives of the anchors in B pairs, given the indices of the pairs and `_negative_logits`.

    Returns:
        `(2, B, 3)`: the logsumexp of the negatives, the similarity of the hardest negative, the Gaussian potential.
    """
    logits = logits_of(pairs)  # (2, B, 2, N)
    largest = ops.max(logits, axis=(2, 3))  # (2, B)
    potential = contrastive_logs.gaussian_potential(logits, temperature=temperature)  # (2, B)
    # The largest term is factored out of the logsumexp, so that no exponential overflows.
    sum_of_exp = ops.sum(ops.exp(logits - largest[:, :, None, None]), axis=(2, 3))  # (2, B)
    return ops.stack([largest + ops.log(sum_of_exp), temperature * largest, potential], axis=-1)


def _weighted_sum_of_negatives(
    pairs: Tensor,
    *,
    logits_of: Callable[[Tensor], Tensor],
    z: Tensor,
    weights: Tensor,
    log_denominators: Tensor,
    temperature: Tensor | float,
) -> Tensor:
    """Computes `sum_k (w_i P_ik + w_k P_ki) z_k` over the negatives k of each anchor i in B pairs.

    Args:
        pairs: `(B,)` indices of the pairs.
        logits_of: `_negative_logits`.
        z: `(2, N, d)` normalized projections.
        weights: `(N,)` upstream gradients w of the losses.
        log_denominators: `(2, N)`.
        temperature: tau.

    Returns:
        `(2, B, d)`.
    """
    logits = logits_of(pairs)  # (2, B, 2, N)
    anchor_weights = ops.take(weights, pairs)[:, None, None]  # (B, 1, 1)
    anchor_log_denominators = ops.take(log_denominators, pairs, axis=1)[:, :, None, None]  # (2, B, 1, 1)
    if isinstance(temperature, (int, float)) and temperature >= _LOWEST_TAU_OF_ONE_EXPONENTIAL:
        largest = 1.0 / temperature  # of all logits
        scales = anchor_weights * ops.exp(largest - anchor_log_denominators)  # s_i (2, B, 1, 1)
        scales = scales + weights * ops.exp(largest - log_denominators)  # s_i + s_k (2, B, 2, N)
        coefficients = ops.exp(logits - largest) * scales
    else:
        coefficients = anchor_weights * ops.exp(logits - anchor_log_denominators)  # w_i P_ik (2, B, 2, N)
        coefficients = coefficients + weights * ops.exp(logits - log_denominators)  # w_k P_ki
    rows = ops.reshape(coefficients, (-1, 2 * ops.shape(z)[1]))  # (2B, 2N)
    return ops.reshape(ops.matmul(rows, _one_row_a_crop(z)), (2, -1, ops.shape(z)[2]))


def _negative_logits(pairs: Tensor, *, z: Tensor, temperature: Tensor | float, pairs_per_clip: int) -> Tensor:
    """Returns `sim / tau` of the anchors in B pairs with all crops, `(2, B, 2, N)`.

    The logits of an anchor with the crops of its own clip, itself and its positive among them, are `_NOT_A_NEGATIVE`.
    """
    anchors = ops.take(z, pairs, axis=1) / temperature  # (2, B, d). Here tau costs no pass over the similarities.
    n = ops.shape(z)[1]
    logits = ops.matmul(_one_row_a_crop(anchors), ops.transpose(_one_row_a_crop(z)))  # (2B, 2N)
    logits = ops.reshape(logits, (2, -1, 2, n))
    same_clip = pairs[:, None] // pairs_per_clip == ops.arange(n) // pairs_per_clip  # (B, N)
    return ops.where(same_clip[:, None], _NOT_A_NEGATIVE, logits)


def _one_row_a_crop(z: Tensor) -> Tensor:
    """Reshapes `(2, N, d)` to `(2N, d)`.

    `ops.matmul` of two such matrices is faster on TensorFlow than `ops.einsum`, which multiplies a batch of one matrix.
    """
    return ops.reshape(z, (-1, ops.shape(z)[2]))
