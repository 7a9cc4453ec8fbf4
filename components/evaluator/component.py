"""Evaluator: compares the model's embeddings with those of its untrained encoders and of baselines."""

from collections.abc import Mapping
from typing import ClassVar

from absl import logging
from etils import epath

from beam_jobs.statistics import example_statistics
from components import base
from components.evaluator import labels
from components.evaluator.config import EvaluatorConfig
from components.evaluator.probes import choice


class Evaluator(base.Component[EvaluatorConfig]):
    """Probes the embeddings, and blesses the model if it is better than the baselines.

    Writes `metrics.json`, see `components.evaluator.report`, `predictions.parquet`, which holds what the probe of the
    set `both` says of each test clip, and `blessing.json` (`blessed`, `reasons`). The sets of features are the
    embedding of each encoder, `both` (all of them concatenated), the same sets of the untrained encoders with the
    prefix `untrained/`, and those of the baselines, e.g. `mfcc_mean_std`. A probe that the labels do not allow is
    refused before a model is trained, by what `statistics` tells about them.
    """

    inputs: ClassVar[Mapping[str, base.ArtifactType]] = {
        "embeddings": base.ArtifactType.EMBEDDINGS,
        "statistics": base.ArtifactType.EXAMPLE_STATISTICS,
    }
    optional_inputs: ClassVar[frozenset[str]] = frozenset({"statistics"})
    checked_inputs: ClassVar[frozenset[str]] = frozenset({"statistics"})
    outputs: ClassVar[Mapping[str, base.ArtifactType]] = {
        "evaluation": base.ArtifactType.MODEL_EVALUATION,
        "blessing": base.ArtifactType.MODEL_BLESSING,
    }
    Config = EvaluatorConfig
    executor = "components.evaluator.executor"
    version: ClassVar[int] = 7
    libraries: ClassVar[tuple[str, ...]] = ("keras", "tensorflow")
    shows: ClassVar[Mapping[base.Tab, str]] = {
        "text": "scores, also by class",
        "images": "scores, also by class; confusion",
        "pr_curves": "precision and recall",
        "scalars": "scores, to compare runs",
    }

    def check_inputs(self, inputs: Mapping[str, epath.Path]) -> None:
        if "statistics" not in inputs:
            return
        try:
            counts = labels.from_statistics(example_statistics.read(inputs["statistics"]))
        except KeyError:  # An older version of Diptych wrote them; the embeddings will tell.
            return
        chosen = choice.choose_probe(self.config.probe, counts=counts)
        if chosen.probe is None and chosen.needs_score:
            logging.warning("the model will not be probed, and not be blessed, because %s", chosen.note)
        elif chosen.left_out:
            logging.info("the probe will leave out %s", chosen.left_out)
