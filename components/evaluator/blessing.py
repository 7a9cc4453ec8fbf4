"""Decides whether the embedding is good enough to be served."""

import dataclasses
from collections.abc import Mapping

from components.evaluator.features import BOTH, MFCC, UNTRAINED

BASELINES = (UNTRAINED + BOTH, MFCC)
"""The sets of features that the embedding has to beat."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Blessing:
    """The content of `blessing.json`.

    Attributes:
        blessed: Whether the Pusher may push the model.
        reasons: Why it may not, or why it was not probed.
    """

    blessed: bool
    reasons: list[str]


def bless(
    scores: Mapping[str, tuple[float, float]],
    *,
    min_margin: float,
    note: str | None = None,
    needs_score: bool = True,
) -> Blessing:
    """Blesses the embedding if its score exceeds those of the untrained encoders and of MFCCs by more than a margin.

    Args:
        scores: Baseline -> the scores of the embedding and of the baseline, on the test clips that both have; empty if
            nothing was probed.
        min_margin: The margin.
        note: The reason why nothing was probed; None if there is no baseline to beat.
        needs_score: Whether an embedding without a score is not blessed. Otherwise the InfraValidator alone decides.
    """
    if not scores:
        reason = f"not probed: {note}" if note else f"compared with neither {BASELINES[0]} nor {BASELINES[1]}"
        if needs_score:
            reason += "; evaluator.probe=none pushes it without a score"
        return Blessing(blessed=not needs_score, reasons=[reason])
    margin = f" by more than {min_margin:.3f}" if min_margin else ""
    reasons = [
        f"its score {score:.3f} does not beat {baseline}'s {other:.3f}{margin}"
        for baseline, (score, other) in scores.items()
        if not score - other > min_margin  # Nor if it is NaN, because no test clip is in both.
    ]
    return Blessing(blessed=not reasons, reasons=reasons)
