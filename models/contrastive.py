"""The contrastive objective: NT-Xent over the crops of a batch (paper, eq. 1; SimCLR)."""

from keras import ops

from models.typing import Tensor


def nt_xent(z_a: Tensor, z_b: Tensor, *, temperature: float = 0.1) -> Tensor:
    """Loss of each positive pair, `L_ij + L_ji` of eq. (1).

    Args:
        z_a: `(N, d)` projections of the first views; need not be normalised.
        z_b: `(N, d)` projections of the second views, in the same order.
        temperature: tau; similarities are cosine / tau.

    Returns:
        `(N,)` float32. The denominator of an anchor runs over the 2N - 1 other crops: its positive and all others of
        both branches. At equal similarities each pair's loss is `2 ln(2N - 1)`.
    """
    loss, _ = nt_xent_with_logs(z_a, z_b, temperature=temperature)
    return loss


def nt_xent_with_logs(z_a: Tensor, z_b: Tensor, *, temperature: float = 0.1) -> tuple[Tensor, dict[str, Tensor]]:
    """`nt_xent` and what is worth logging about it.

    Returns:
        The `(N,)` losses, and a dict of scalars: `top1`, the share of anchors whose positive is the most similar of
        the 2N - 1; `positive_similarity` and `negative_similarity`, mean cosines.
    """
    a, b = _unit(z_a), _unit(z_b)
    pairs = ops.shape(a)[0]
    itself = 1e9 * ops.eye(pairs, dtype="float32")
    across = ops.matmul(a, ops.transpose(b))  # (N, N), positives on the diagonal
    positive = ops.sum(a * b, axis=-1)
    loss, hits, similarity = 0.0, 0.0, 0.0
    for own, cross in ((a, across), (b, ops.transpose(across))):
        within = ops.matmul(own, ops.transpose(own))
        negatives = ops.concatenate([cross - itself, within - itself], axis=1)  # (N, 2N), 2N - 2 of them real
        margin = positive - ops.logsumexp(negatives / temperature, axis=1) * temperature
        loss = loss + ops.softplus(-margin / temperature)  # = logsumexp over all - positive, without its cancellation
        hits = hits + ops.mean(ops.cast(positive > ops.max(negatives, axis=1), "float32")) / 2
        similarity = similarity + ops.sum(cross) + ops.sum(within) - ops.sum(positive) - ops.sum(own * own)
    logs = {
        "top1": hits,
        "positive_similarity": ops.mean(positive),
        "negative_similarity": similarity / ops.cast(ops.maximum(4 * pairs * (pairs - 1), 1), "float32"),
    }
    return loss, logs


def _unit(z: Tensor) -> Tensor:
    """Rows of length 1, in float32; a zero row stays zero."""
    return ops.normalize(ops.cast(z, "float32"), axis=-1)
