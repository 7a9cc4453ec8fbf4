"""What the examples sound like, in figures and pictures."""

from components.statistics_gen.component import StatisticsGen, StatisticsGenConfig

__all__ = ["StatisticsGen", "StatisticsGenConfig"]
