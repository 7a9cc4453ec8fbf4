"""The result of a probe."""

import dataclasses
from collections.abc import Mapping

import numpy as np


@dataclasses.dataclass(frozen=True, kw_only=True)
class ProbeResult:
    """The scores of one probe on one set of features.

    Attributes:
        score: The headline score in [0, 1]: accuracy or mAP.
        class_scores: The score of each class (recall or average precision); None for a class without test clips.
        details: Other figures, as plain JSON values.
        predictions: int (clips,), the class that was predicted for each clip as a test clip, or -1 for clips that were
            only trained on or left out. None for the mlp probe.
    """

    score: float
    class_scores: list[float | None]
    details: Mapping[str, object]
    predictions: np.ndarray | None = None
