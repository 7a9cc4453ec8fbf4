"""Builds the pipeline of an evaluation from stages of `diptych run`."""

from components.audio_example_gen import AudioExampleGen
from components.embedder import Embedder
from components.evaluator import Evaluator
from components.statistics_gen import StatisticsGen
from pipeline.evaluation.config import EvaluationConfig
from pipeline.runner.graph import Pipeline


def create_pipeline(config: EvaluationConfig) -> Pipeline:
    """Returns the pipeline that a config describes."""
    pipeline = Pipeline()
    examples = pipeline.add(AudioExampleGen(config.audio_example_gen))["examples"]
    statistics = pipeline.add(StatisticsGen(config.statistics_gen), examples=examples)["statistics"]
    embeddings = pipeline.add(Embedder(config.embedder), examples=examples)["embeddings"]
    pipeline.add(Evaluator(config.evaluator), statistics=statistics, embeddings=embeddings)
    return pipeline
