"""StatisticsGen: durations, levels, classes, source formats and log-mel bands of each split, and near duplicates."""

from collections.abc import Mapping
from typing import ClassVar

from components import base
from components.statistics_gen.config import StatisticsGenConfig


class StatisticsGen(base.Component[StatisticsGenConfig]):
    """Writes `statistics.json` (see `beam_jobs.statistics.example_statistics`)."""

    inputs: ClassVar[Mapping[str, base.ArtifactType]] = {"examples": base.ArtifactType.EXAMPLES}
    outputs: ClassVar[Mapping[str, base.ArtifactType]] = {"statistics": base.ArtifactType.EXAMPLE_STATISTICS}
    Config = StatisticsGenConfig
    executor = "components.statistics_gen.executor"
    version: ClassVar[int] = 2
    shows: ClassVar[Mapping[base.Tab, str]] = {
        "images": "levels, durations, classes, clips",
        "audio": "clips to hear",
        "text": "figures, codecs, near duplicates",
    }
