"""The config of the whole pipeline: one typed, frozen section per stage."""

import pydantic

from components.audio_example_gen import AudioExampleGenConfig
from components.base import StageConfig
from components.embedder import EmbedderConfig
from components.evaluator import EvaluatorConfig
from components.example_validator import ExampleValidatorConfig
from components.exporter import ExporterConfig
from components.importer import ImporterConfig
from components.pusher import PusherConfig
from components.statistics_gen import StatisticsGenConfig
from components.synthetic_audio_gen import SyntheticAudioGenConfig
from components.trainer import TrainerConfig


class PipelineConfig(StageConfig):
    """What `diptych config` prints and `diptych run` runs."""

    synthetic_audio_gen: SyntheticAudioGenConfig | None = pydantic.Field(
        None, description="A generated corpus to start from; null when audio_example_gen.source names real audio."
    )
    audio_example_gen: AudioExampleGenConfig = AudioExampleGenConfig()
    statistics_gen: StatisticsGenConfig = StatisticsGenConfig()
    example_validator: ExampleValidatorConfig = ExampleValidatorConfig()
    trainer: TrainerConfig = TrainerConfig()
    importer: ImporterConfig | None = pydantic.Field(
        None, description="A model that was trained elsewhere and replaces the Trainer's. --import sets it."
    )
    exporter: ExporterConfig = ExporterConfig()
    embedder: EmbedderConfig = EmbedderConfig()
    evaluator: EvaluatorConfig = EvaluatorConfig()
    pusher: PusherConfig = PusherConfig()
