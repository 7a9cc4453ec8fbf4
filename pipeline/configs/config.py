"""The whole pipeline's config: one typed, frozen section per stage."""

import pydantic

from components.audio_example_gen import AudioExampleGen
from components.base import StageConfig
from components.evaluator import Evaluator
from components.example_validator import ExampleValidator
from components.exporter import Exporter
from components.importer import Importer
from components.pusher import Pusher
from components.statistics_gen import StatisticsGen
from components.synthetic_audio_gen import SyntheticAudioGen
from components.trainer import Trainer


class PipelineConfig(StageConfig):
    """What `diptych config` prints and `diptych run` runs."""

    synthetic_audio_gen: SyntheticAudioGen.Config | None = pydantic.Field(
        None, description="A generated corpus to start from; null when audio_example_gen.source names real audio."
    )
    audio_example_gen: AudioExampleGen.Config = AudioExampleGen.Config()
    statistics_gen: StatisticsGen.Config = StatisticsGen.Config()
    example_validator: ExampleValidator.Config = ExampleValidator.Config()
    trainer: Trainer.Config = Trainer.Config()
    importer: Importer.Config | None = pydantic.Field(
        None, description="A model that was trained elsewhere, to take in place of the Trainer's (--import sets it)."
    )
    exporter: Exporter.Config = Exporter.Config()
    evaluator: Evaluator.Config = Evaluator.Config()
    pusher: Pusher.Config = Pusher.Config()
