"""The contrastive loss, its gradient and its logs, term by term in float64."""

import numpy as np


def projections(pairs, dim, seed=0):
    return np.random.default_rng(seed).normal(size=(2, pairs, dim)).astype("float32")


def _cosines(z_a, z_b):
    z = np.concatenate([z_a, z_b]).astype("float64")
    z /= np.linalg.norm(z, axis=1, keepdims=True)
    return z @ z.T


def losses(z_a, z_b, temperature=0.1, decoupled=False, pairs_per_clip=1):
    """Computes eq. (1) from all similarities, in float64. If decoupled, the positive is not in the denominator."""
    n = len(z_a)
    sim = _cosines(z_a, z_b) / temperature
    anchors = np.arange(2 * n)
    positives = (anchors + n) % (2 * n)
    clips = anchors % n // pairs_per_clip
    others = clips[:, None] != clips
    others[anchors, positives] = not decoupled
    of_anchors = -sim[anchors, positives] + np.log(np.sum(np.exp(sim), axis=1, where=others))
    return of_anchors[:n] + of_anchors[n:]


def gradient(z, weights, temperature, step=1e-6, **options):
    """Estimates the gradient of `weights @ losses(*z)` by moving each element of z a little up and down."""
    z, slopes = z.astype("float64"), np.zeros(z.shape)
    for index in np.ndindex(z.shape):
        change = np.zeros(z.shape)
        change[index] = step
        higher, lower = (losses(*changed, temperature, **options) for changed in (z + change, z - change))
        difference = higher - lower
        slopes[index] = weights @ difference / (2 * step)
    return slopes


def logs(z_a, z_b, pairs_per_clip=1):
    """Computes the logs of `models.contrastive_logs.compute`."""
    n, cosines = len(z_a), _cosines(z_a, z_b)
    clip = [i % n // pairs_per_clip for i in range(2 * n)]
    positives = [(i, (i + n) % (2 * n)) for i in range(2 * n)]
    negatives = [[cosines[i, k] for k in range(2 * n) if clip[i] != clip[k]] for i in range(2 * n)]
    branches = (range(n), range(n, 2 * n))
    same_branch = [[cosines[i, k] for i in branch for k in branch if clip[i] != clip[k]] for branch in branches]
    return {
        "top1": np.mean([cosines[i, j] > max(others) for (i, j), others in zip(positives, negatives, strict=True)]),
        "positive_similarity": np.mean([cosines[i, j] for i, j in positives]),
        "negative_similarity": np.mean(negatives),
        "alignment": np.mean([2 - 2 * cosines[i, j] for i, j in positives]),
        "uniformity": np.mean([np.log(np.mean(np.exp(-2 * (2 - 2 * np.array(sim))))) for sim in same_branch]),
    }
