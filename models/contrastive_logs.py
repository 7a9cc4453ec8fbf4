"""Logs of the contrastive loss: how close positives are to each other, and how far apart negatives are."""

from keras import ops

from models.typing import Tensor

_COSINE_ROUNDING = 1e-6  # of float32


def compute(z: Tensor, *, hardest: Tensor, potential: Tensor, pairs_per_clip: int) -> dict[str, Tensor]:
    """Computes the logs of a batch.

    Args:
        z: `(2, N, d)` normalized projections.
        hardest: `(2, N)` similarity of each anchor's hardest negative.
        potential: `(2, N)`, see `gaussian_potential`.
        pairs_per_clip: How many consecutive pairs are of one clip.

    Returns:
        A dict of float32 scalars:

        * `top1`: Share of anchors whose positive is more similar than all crops of other clips. A tie, to 1e-6, does
          not count.
        * `positive_similarity`, `negative_similarity`: Mean cosine similarities.
        * `alignment`: Mean squared distance of positives (Wang & Isola 2020).
        * `uniformity`: Log of the mean of `exp(-2 distance^2)` over the crops of other clips in a branch, averaged over
          both branches (Wang & Isola 2020).

        A single clip has no negatives: its `top1` is 1, its `negative_similarity` and `uniformity` are 0.
    """
    n = ops.cast(ops.shape(z)[1], "float32")
    others = ops.maximum(n - pairs_per_clip, 1.0)  # pairs of other clips
    positive = ops.sum(z[0] * z[1], axis=-1)  # (N,)
    # All similarities of some crops add up to |their sum|^2. Subtract those within each clip from those of all crops.
    of_clips = ops.sum(ops.reshape(z, (2, -1, pairs_per_clip, ops.shape(z)[2])), axis=(0, 2))  # (clips, d)
    negative_sum = ops.sum(ops.square(ops.sum(of_clips, axis=0))) - ops.sum(ops.square(of_clips))
    mean_potential = ops.where(n > pairs_per_clip, ops.mean(potential, axis=1) / others, 1.0)  # (2,)
    return {
        "top1": ops.mean(ops.cast(positive > hardest + _COSINE_ROUNDING, "float32")),
        "positive_similarity": ops.mean(positive),
        "negative_similarity": negative_sum / (4.0 * n * others),  # 2N anchors, each with 2 crops of every other pair
        "alignment": ops.mean(ops.sum(ops.square(z[0] - z[1]), axis=-1)),
        "uniformity": ops.mean(ops.log(mean_potential)),
    }


def gaussian_potential(logits: Tensor, *, temperature: Tensor | float) -> Tensor:
    """Sums `exp(-2 distance^2)` over the negatives of each anchor in the anchor's own branch.

    Args:
        logits: `(2, B, 2, N)` similarities, divided by `temperature`, of the anchors in B pairs with all crops, or a
            large negative number for crops that are not negatives.
        temperature: tau.

    Returns:
        `(2, B)`.
    """
    # The squared distance between vectors of length 1 is 2 - 2 sim, so the exponent is 4 sim - 4.
    of_branch = [ops.sum(ops.exp(4.0 * temperature * logits[b, :, b] - 4.0), axis=1) for b in range(2)]
    return ops.stack(of_branch)
