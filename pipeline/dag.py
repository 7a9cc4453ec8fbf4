"""The pipeline that Diptych is."""

from components.audio_example_gen import AudioExampleGen
from components.errors import UserError
from components.evaluator import Evaluator
from components.example_validator import ExampleValidator
from components.exporter import Exporter
from components.importer import Importer, read_model_config
from components.pusher import Pusher
from components.statistics_gen import StatisticsGen
from components.synthetic_audio_gen import SyntheticAudioGen
from components.trainer import Trainer
from pipeline.configs.config import PipelineConfig
from pipeline.runner.graph import Pipeline


def create_pipeline(config: PipelineConfig) -> Pipeline:
    """Builds Diptych's pipeline.

    Raises:
        UserError: there is no audio to start from, or two sections contradict each other.
    """
    source = config.audio_example_gen.source
    if source is None and config.synthetic_audio_gen is None:
        raise UserError("There is no audio to learn from: give its folder with --data PATH.")
    if source is not None and config.synthetic_audio_gen is not None:
        raise UserError("audio_example_gen.source needs synthetic_audio_gen=null beside it; --data PATH sets both.")
    _check_sample_rate(config)

    pipeline = Pipeline()
    audio = {}
    if config.synthetic_audio_gen is not None:
        audio = pipeline.add(SyntheticAudioGen(config.synthetic_audio_gen))
    examples = pipeline.add(AudioExampleGen(config.audio_example_gen), **audio)["examples"]
    statistics = pipeline.add(StatisticsGen(config.statistics_gen), examples=examples)["statistics"]
    anomalies = pipeline.add(ExampleValidator(config.example_validator), statistics=statistics)["anomalies"]
    if config.importer is None:
        model = pipeline.add(Trainer(config.trainer), examples=examples, anomalies=anomalies)["model"]
    else:
        model = pipeline.add(Importer(config.importer))["model"]
    exported = pipeline.add(Exporter(config.exporter), model=model, examples=examples)
    saved_model, infra_blessing = exported["saved_model"], exported["infra_blessing"]
    evaluated = pipeline.add(Evaluator(config.evaluator), examples=examples, model=model, saved_model=saved_model)
    pipeline.add(
        Pusher(config.pusher), saved_model=saved_model, blessing=evaluated["blessing"], infra_blessing=infra_blessing
    )
    return pipeline


def _check_sample_rate(config: PipelineConfig) -> None:
    rate = config.audio_example_gen.sample_rate
    if config.importer is not None:
        wanted = read_model_config(config.importer.model)["sample_rate"]
        if rate != wanted:
            raise UserError(
                f"audio_example_gen.sample_rate={rate} is not that of the model in {config.importer.model}: set "
                f"audio_example_gen.sample_rate={wanted}."
            )
    elif rate != (wanted := config.trainer.model.sample_rate):
        raise UserError(
            f"audio_example_gen.sample_rate={rate} and trainer.model.sample_rate={wanted} differ: set both alike."
        )
