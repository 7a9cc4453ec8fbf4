"""The content of `metrics.json`."""

import dataclasses
from collections.abc import Mapping

from components.evaluator.probes.bootstrap import Comparison, Interval
from components.evaluator.probes.choice import Probe
from components.evaluator.probes.others import Column


@dataclasses.dataclass(frozen=True, kw_only=True)
class Report:
    """The content of `metrics.json`. All mappings are by the set of features.

    Attributes:
        probe: Name of the probe, or None if none ran.
        metric: What the scores are: "accuracy" or "mAP".
        scores: The score of the probe.
        intervals: Its 95 % interval over resampled test recordings.
        comparison: Paired comparison with the baseline, see `evaluator.baseline`.
        knn: Accuracy or mAP of the 10 nearest neighbors.
        few_shot: Accuracy or mAP of linear classifiers on 8 clips a class.
        retrieval: mAP of queries by example.
        details: Other figures, as plain JSON values.
        note: The reason why no probe ran, or what the probe left out, or None.
    """

    probe: Probe | None = None
    metric: str | None = None
    scores: Mapping[str, float] = dataclasses.field(default_factory=dict)
    intervals: Mapping[str, Interval] = dataclasses.field(default_factory=dict)
    comparison: Mapping[str, Comparison] = dataclasses.field(default_factory=dict)
    knn: Mapping[str, Column] = dataclasses.field(default_factory=dict)
    few_shot: Mapping[str, Column] = dataclasses.field(default_factory=dict)
    retrieval: Mapping[str, Column] = dataclasses.field(default_factory=dict)
    details: Mapping[str, object] = dataclasses.field(default_factory=dict)
    note: str | None = None
