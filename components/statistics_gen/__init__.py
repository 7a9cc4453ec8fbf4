"""StatisticsGen: computes statistics of the examples and draws them."""

from components.statistics_gen.component import StatisticsGen
from components.statistics_gen.config import StatisticsGenConfig

__all__ = ["StatisticsGen", "StatisticsGenConfig"]
