"""Mean, standard deviation and interval of a score over seeds."""

import dataclasses
import math
import statistics
from collections.abc import Sequence

from scipy import stats

LEVEL = 0.95


@dataclasses.dataclass(frozen=True, kw_only=True)
class Summary:
    """A score over seeds.

    Attributes:
        mean: The mean.
        sd: The standard deviation of a single score (with n - 1); None of one score.
        low: Lower end of the 95 % interval of the mean, by Student's t; None of one score.
        high: Upper end of the same.
        count: Number of scores.
    """

    mean: float
    sd: float | None
    low: float | None
    high: float | None
    count: int


def summarize(values: Sequence[float]) -> Summary | None:
    """Returns mean, deviation and interval of scores, or None of none."""
    if not values:
        return None
    mean, count = statistics.fmean(values), len(values)
    if count == 1:
        return Summary(mean=mean, sd=None, low=None, high=None, count=1)
    sd = statistics.stdev(values)
    half = float(stats.t.ppf((1 + LEVEL) / 2, count - 1)) * sd / math.sqrt(count)
    return Summary(mean=mean, sd=sd, low=mean - half, high=mean + half, count=count)
