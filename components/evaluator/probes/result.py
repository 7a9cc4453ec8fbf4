"""The result of a probe."""

import dataclasses
from collections.abc import Mapping

import numpy as np

from components.evaluator.clips import Clips


@dataclasses.dataclass(frozen=True, kw_only=True)
class ProbeResult:
    """The scores of one probe on one set of features.

    Attributes:
        score: The headline score in [0, 1]: accuracy or mAP.
        class_scores: The score of each class (recall or average precision); None for a class without test clips.
        details: Other figures, as plain JSON values.
        tested: The clips that the probe was tested on, with the labels that it scores. In cross-validation, their folds
            tell which classifier tested them: one that was not trained on them.
        logits: float32 (tested clips, classes), higher where a class is more likely.
    """

    score: float
    class_scores: list[float | None]
    details: Mapping[str, object]
    tested: Clips
    logits: np.ndarray

    @property
    def predictions(self) -> np.ndarray:
        """The most likely class of each tested clip, int (tested clips,)."""
        return self.logits.argmax(axis=1)
