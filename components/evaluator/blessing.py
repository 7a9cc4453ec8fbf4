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


def bless(scores: Mapping[str, float], *, min_margin: float, note: str | None = None) -> Blessing:
    """Blesses the embedding if its score exceeds those of the untrained encoders and of MFCCs by more than a margin.

    An embedding without scores is blessed. Then the InfraValidator alone decides.

    Args:
        scores: Set of features -> score; empty if nothing was probed.
        min_margin: The margin.
        note: The reason why nothing was probed.
    """
    if not scores:
        return Blessing(blessed=True, reasons=[note or "not probed"])
    score = scores[BOTH]
    margin = f" by more than {min_margin:.3f}" if min_margin else ""
    reasons = []
    for baseline in (UNTRAINED + BOTH, MFCC):
        if score - scores[baseline] <= min_margin:
            reasons.append(f"its score {score:.3f} does not beat {baseline}'s {scores[baseline]:.3f}{margin}")
    return Blessing(blessed=not reasons, reasons=reasons)
