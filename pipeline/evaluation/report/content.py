"""What the page shows."""

import dataclasses
from collections.abc import Sequence

import numpy as np

from pipeline.evaluation.robustness.curves import Curves


@dataclasses.dataclass(frozen=True, kw_only=True)
class ScoreRow:
    """The score of one set of features.

    Attributes:
        name: Of the set, as in `metrics.json`.
        score: In [0, 1].
        low: Lower end of its 95 % interval; None if it is not known.
        high: Upper end.
        others: Scores of other probes, in the order of `Content.other_metrics`; None for one that did not run.
        is_model: Whether the set comes from the evaluated model.
    """

    name: str
    score: float
    low: float | None
    high: float | None
    others: Sequence[float | None]
    is_model: bool


@dataclasses.dataclass(frozen=True, kw_only=True)
class ClassRow:
    """The score of one class.

    Attributes:
        name: Of the class.
        clips: Number of its test clips.
        score: Recall if the metric is the accuracy, otherwise average precision; None without test clips.
        confused_with: The class that its clips are taken for most often, and how often; "" if there is none.
    """

    name: str
    clips: int
    score: float | None
    confused_with: str


@dataclasses.dataclass(frozen=True, kw_only=True)
class ClipRow:
    """A clip to hear.

    Attributes:
        clip_id: Its name.
        truth: Its classes.
        predicted: The classes that the probe prefers, with their probabilities.
        mp3: Its sound.
    """

    clip_id: str
    truth: str
    predicted: str
    mp3: bytes


@dataclasses.dataclass(frozen=True, kw_only=True)
class Content:
    """All that the page shows.

    Attributes:
        model: The evaluated model, as the user named it.
        data: The audio, as the user named it.
        verdict: The result in one sentence.
        facts: Name -> value of what describes the evaluation.
        metric: What the scores are, e.g. "accuracy".
        other_metrics: Names of other scores.
        scores: Of all sets of features, those of the model first.
        classes: The classes, the worst one first.
        confusion: (classes, classes), share of the clips of a row's class that are taken for a column's; None if clips
            may have several classes, or there are too many to show.
        confusion_names: Names of these classes.
        clips: The clips to hear.
        robustness: What perturbations do; None if they were not measured.
        notes: What was left out, in whole sentences.
        tensorboard: The command that shows more.
    """

    model: str
    data: str
    verdict: str
    facts: dict[str, str]
    metric: str
    other_metrics: Sequence[str]
    scores: Sequence[ScoreRow]
    classes: Sequence[ClassRow]
    confusion: np.ndarray | None
    confusion_names: Sequence[str]
    clips: Sequence[ClipRow]
    robustness: Curves | None
    notes: Sequence[str]
    tensorboard: str
