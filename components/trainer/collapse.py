"""Detects collapsed embeddings, which fill few dimensions."""

from collections.abc import Mapping, Sequence

import numpy as np
from absl import logging

_VALIDATIONS_IN_A_ROW = 3  # The message says "third".


class CollapseWarning:
    """Warns once when an embedding is collapsed in three validations in a row.

    Args:
        names: The names of the embeddings.
        min_rank: An effective rank below this counts as collapsed.
        clips: Number of clips that the effective ranks are computed from. Since n clips fill at most n - 1 dimensions,
            half of that bounds `min_rank`.
    """

    def __init__(self, names: Sequence[str], *, min_rank: float, clips: int):
        self._min_rank = min(min_rank, (clips - 1) / 2)
        self._collapsed_in_a_row = dict.fromkeys(names, 0)

    def update(self, step: int, ranks: Mapping[str, float]) -> None:
        """Counts a validation, and warns if it is the third in a row with a collapsed embedding.

        Args:
            step: Its step.
            ranks: Name of an embedding -> its effective rank.
        """
        for name, rank in ranks.items():
            if rank < self._min_rank:
                self._collapsed_in_a_row[name] += 1
            else:
                self._collapsed_in_a_row[name] = 0
            if self._collapsed_in_a_row[name] == _VALIDATIONS_IN_A_ROW:
                logging.warning(
                    "the %s embeddings have collapsed: at step %d they fill %.1f dimensions, below the %g of "
                    "trainer.collapse_rank, for the third validation in a row; lower trainer.learning_rate, or set "
                    "trainer.model.projector_norm=batch",
                    name,
                    step,
                    rank,
                    self._min_rank,
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
