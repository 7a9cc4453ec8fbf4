"""Detects collapsed embeddings, which fill few dimensions."""

from collections.abc import Mapping, Sequence

import numpy as np
from absl import logging

_VALIDATIONS = 3  # The message says "third".


class CollapseWarning:
    """Warns once when an embedding is collapsed in three validations in a row.

    Args:
        names: The names of the embeddings.
        least_rank: An effective rank below this counts as collapsed.
        clips: Number of clips whose embeddings are ranked. Since n clips fill at most n - 1 dimensions, half of that
            bounds `least_rank`.
    """

    def __init__(self, names: Sequence[str], *, least_rank: float, clips: int):
        self._least_rank = min(least_rank, (clips - 1) / 2)
        self._collapsed_in_a_row = dict.fromkeys(names, 0)

    def update(self, step: int, ranks: Mapping[str, float]) -> None:
        """Takes note of a validation.

        Args:
            step: Its step.
            ranks: Name of an embedding -> its effective rank.
        """
        for name, rank in ranks.items():
            if rank < self._least_rank:
                self._collapsed_in_a_row[name] += 1
            else:
                self._collapsed_in_a_row[name] = 0
            if self._collapsed_in_a_row[name] == _VALIDATIONS:
                logging.warning(
                    "the %s embeddings have collapsed: at step %d they fill %.1f dimensions, below the %g of "
                    "trainer.collapse_rank, for the third validation in a row; lower trainer.learning_rate, or set "
                    "trainer.model.projector_norm=batch",
                    name,
                    step,
                    rank,
                    self._least_rank,
                )


def effective_rank(features: np.ndarray) -> float:
    """Returns the number of dimensions that features fill.

    This is the exponential of the entropy of their normalized variances (Roy & Vetterli 2007): 1 if all features lie on
    a line, `dim` if they spread equally in all directions, and 1 if there is no variance.

    Args:
        features: `(clips, dim)`.
    """
    variances = np.linalg.svd(features - features.mean(axis=0), compute_uv=False).astype(np.float64) ** 2
    if variances.sum() <= 1e-12 * max(1.0, float(np.square(features).sum())):
        return 1.0
    shares = variances[variances > 0] / variances.sum()
    return float(np.exp(-np.sum(shares * np.log(shares))))
