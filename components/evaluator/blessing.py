"""Decides whether the embedding is good enough to be served."""

import dataclasses
from collections.abc import Mapping

from components.evaluator.embeddings import BOTH, MFCC, UNTRAINED


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
    scores: Mapping[str, float], *, min_margin: float, note: str | None = None, needs_score: bool = True
) -> Blessing:
    """Blesses the embedding if its score exceeds those of the untrained encoders and of MFCCs by more than a margin.

    Args:
        scores: Set of features -> score; empty if nothing was probed.
        min_margin: The margin.
        note: The reason why nothing was probed.
        needs_score: Whether an embedding without a score is not blessed. Otherwise the InfraValidator alone decides.
    """
    if not scores:
        reason = f"not probed: {note}"
        if needs_score:
            reason += "; evaluator.probe=none pushes it without a score"
        return Blessing(blessed=not needs_score, reasons=[reason])
    score = scores[BOTH]
    margin = f" by more than {min_margin:.3f}" if min_margin else ""
    reasons = []
    for baseline in (UNTRAINED + BOTH, MFCC):
        if score - scores[baseline] <= min_margin:
            reasons.append(f"its score {score:.3f} does not beat {baseline}'s {scores[baseline]:.3f}{margin}")
    return Blessing(blessed=not reasons, reasons=reasons)
