"""The result of `measuring`: a curve for each kind of perturbation."""

import dataclasses
from collections.abc import Mapping


@dataclasses.dataclass(frozen=True, kw_only=True)
class Curve:
    """What one kind of perturbation does to the vectors.

    Attributes:
        title: For people, e.g. "white noise".
        unit: Of the levels.
        levels: The levels.
        cosines: At each level the cosine between the vectors of the perturbed and the clean clip, the mean over the
            clips.
        low_cosines: The cosine that a tenth of the clips does not reach.
        scores: Score of a classifier that was trained on other, clean clips; None without labels.
    """

    title: str
    unit: str
    levels: tuple[float, ...]
    cosines: tuple[float, ...]
    low_cosines: tuple[float, ...]
    scores: tuple[float | None, ...]


@dataclasses.dataclass(frozen=True, kw_only=True)
class Curves:
    """The part `robustness` of `metrics.json`.

    Attributes:
        clips: Number of clips that were perturbed.
        metric: What the scores are: "accuracy", "mAP", or None without labels.
        clean_score: Score of the same clips without a perturbation.
        curves: Kind of perturbation -> what it does.
    """

    clips: int
    metric: str | None
    clean_score: float | None
    curves: Mapping[str, Curve]
