"""Builds Diptych's pipeline from its components."""

from collections.abc import Mapping

from components.audio_example_gen import AudioExampleGen
from components.base import Component
from components.embedder import Embedder
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

COMPONENTS: Mapping[str, type[Component]] = {
    component.__name__: component
    for component in (
        SyntheticAudioGen,
        AudioExampleGen,
        StatisticsGen,
        ExampleValidator,
        Trainer,
        Importer,
        Exporter,
        Embedder,
        Evaluator,
        Pusher,
    )
}
"""All components that a pipeline may have, by name, in the order in which they run."""


def create_pipeline(config: PipelineConfig) -> Pipeline:
    """Returns the pipeline that a config describes.

    Raises:
        UserError: The config names no audio to start from, or two of its sections contradict each other.
    """
    _check_source(config)
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
    embedder = Embedder(config.embedder)
    embeddings = pipeline.add(embedder, examples=examples, model=model, saved_model=saved_model)["embeddings"]
    evaluated = pipeline.add(Evaluator(config.evaluator), embeddings=embeddings, statistics=statistics)
    pipeline.add(Pusher(config.pusher), saved_model=saved_model, infra_blessing=infra_blessing, **evaluated)
    return pipeline


def _check_source(config: PipelineConfig) -> None:
    has_source = config.audio_example_gen.source is not None
    is_synthetic = config.synthetic_audio_gen is not None
    if not has_source and not is_synthetic:
        raise UserError("There is no audio to learn from: give its folder with --data PATH.")
    if has_source and is_synthetic:
        raise UserError(
            "audio_example_gen.source also needs synthetic_audio_gen=null: set it, or use --data PATH, which sets both."
        )


def _check_sample_rate(config: PipelineConfig) -> None:
    rate = config.audio_example_gen.sample_rate
    if config.importer is not None:
        model_rate = read_model_config(config.importer.model)["sample_rate"]
        if rate != model_rate:
            raise UserError(
                f"audio_example_gen.sample_rate={rate} is not that of the model in {config.importer.model}: set "
                f"audio_example_gen.sample_rate={model_rate}."
            )
        return
    model_rate = config.trainer.model.sample_rate
    if rate != model_rate:
        raise UserError(
            f"audio_example_gen.sample_rate={rate} and trainer.model.sample_rate={model_rate} differ: "
            "set both to the same value."
        )
