"""Scores networks on clips that are kept in memory, again and again during training."""

import dataclasses
from collections.abc import Mapping

import numpy as np

from components import metrics
from components.evaluator.clips import means_over_clips
from components.evaluator.probes.networks import Networks, Weights

_ROWS_AT_A_TIME = 2**14
"""Rows whose logits are held: of many classes they take more memory than short vectors."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Validation:
    """The clips that choose the best step.

    Attributes:
        vectors: Name of the embedding -> float16 (rows, dim).
        rows: int (clips,), the number of rows of each clip.
        targets: bool (clips, classes).
    """

    vectors: Mapping[str, np.ndarray]
    rows: np.ndarray
    targets: np.ndarray

    def scores(self, networks: Networks) -> dict[str, float]:
        """Returns the mAP of the first copy of each network, of the logits averaged over the rows of a clip."""
        means: dict[str, list[np.ndarray]] = {}
        starts = np.append(0, np.cumsum(self.rows))
        step = max(1, _ROWS_AT_A_TIME * len(self.rows) // max(1, starts[-1]))  # Clips that have about so many rows.
        for first in range(0, len(self.rows), step):
            counts = self.rows[first : first + step]
            rows = slice(starts[first], starts[first + len(counts)])
            for name, logits in networks.logits({key: values[rows] for key, values in self.vectors.items()}).items():
                means.setdefault(name, []).append(means_over_clips(logits[0], counts))
        return {
            name: metrics.mean(metrics.average_precisions(self.targets, np.concatenate(parts))) or 0.0
            for name, parts in means.items()
        }


@dataclasses.dataclass
class Best:
    """The best network on a set so far.

    Attributes:
        score: Its validation mAP.
        look: The look at which it was found, counted from 1.
        weights: Its weights.
    """

    score: float = -1.0
    look: int = 0
    weights: Weights = dataclasses.field(default_factory=list)


class BestOf:
    """Keeps the best network of each set, until it has not become better for some looks.

    Args:
        names: Names of the sets.
        patience: Looks without a better score after which a set is done; None: never.
    """

    def __init__(self, names: list[str], *, patience: int | None):
        self.looks = 0
        self._patience = patience
        self.best = {name: Best() for name in names}

    def look(self, scores: Mapping[str, float], networks: Networks) -> bool:
        """Takes the scores of a look, and returns whether a set can still become better."""
        self.looks += 1
        is_going_on = False
        for name, best in self.best.items():
            if self._patience is not None and self.looks - 1 - best.look >= self._patience:
                continue
            if scores[name] > best.score:
                self.best[name] = Best(score=scores[name], look=self.looks, weights=networks.weights(name))
            is_going_on |= self._patience is None or self.looks - self.best[name].look < self._patience
        return is_going_on
