"""Scores without training: classification by the nearest neighbors."""

import numpy as np

NEIGHBORS = 10
TEMPERATURE = 0.07
_CELLS = 2**24  # Similarities that are held at a time, 64 MB.


def knn(train: np.ndarray, targets: np.ndarray, tested: np.ndarray) -> np.ndarray:
    """Classifies clips by their 10 nearest training clips, as X-ARES does (arXiv 2505.16369, src/xares/trainer.py).

    The nearest are those of the highest cosine similarity between mean vectors. Each votes for its classes; the votes
    are the softmax of the similarities divided by 0.07. Nothing is standardized.

    Args:
        train: float32 (training clips, dim).
        targets: bool (training clips, classes).
        tested: float32 (tested clips, dim).

    Returns:
        float32 (tested clips, classes), the sum of the votes for each class.
    """
    train, tested = normalized(train), normalized(tested)
    count = min(NEIGHBORS, len(train))
    votes = np.empty((len(tested), targets.shape[1]), np.float32)
    step = max(1, _CELLS // max(len(train), count * targets.shape[1]))
    for first in range(0, len(tested), step):
        similarity = tested[first : first + step] @ train.T
        nearest = np.argpartition(-similarity, count - 1, axis=1)[:, :count]
        logits = np.take_along_axis(similarity, nearest, axis=1) / TEMPERATURE
        weights = np.exp(logits - logits.max(axis=1, keepdims=True))
        weights /= weights.sum(axis=1, keepdims=True)
        votes[first : first + step] = np.einsum("qn,qnc->qc", weights, targets[nearest])
    return votes


def normalized(x: np.ndarray) -> np.ndarray:
    """Returns vectors (rows, dim) of length 1, float32. A vector of zeros stays one."""
    lengths = np.linalg.norm(x.astype(np.float32), axis=1, keepdims=True)
    return (x / np.maximum(lengths, 1e-12)).astype(np.float32)
