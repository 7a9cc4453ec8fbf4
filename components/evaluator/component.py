"""Evaluator: compares the exported embedding with the untrained encoders and a classical baseline."""

from collections.abc import Mapping
from typing import ClassVar

from absl import logging
from etils import epath

from components import base
from components.evaluator.config import EvaluatorConfig
from components.evaluator.probes import choice


class Evaluator(base.Component[EvaluatorConfig]):
    """Embeds every clip through the SavedModel's `windows` signature and probes the embeddings.

    Writes `metrics.json` (`probe`, `metric`, `scores` by set of features, `details`, `note`) and `blessing.json`
    (`blessed`, `reasons`). The sets of features are the embedding of each encoder, `both` (all of them concatenated),
    the same sets of the untrained encoders with the prefix `untrained/`, and `mfcc_mean_std`. A probe that the labels
    do not allow is refused before a model is trained, by what `statistics` tells about them.
    """

    inputs: ClassVar[Mapping[str, base.ArtifactType]] = {
        "examples": base.ArtifactType.EXAMPLES,
        "statistics": base.ArtifactType.EXAMPLE_STATISTICS,
        "model": base.ArtifactType.MODEL,
        "saved_model": base.ArtifactType.MODEL,
    }
    optional_inputs: ClassVar[frozenset[str]] = frozenset({"statistics"})
    checked_inputs: ClassVar[frozenset[str]] = frozenset({"examples", "statistics"})
    outputs: ClassVar[Mapping[str, base.ArtifactType]] = {
        "evaluation": base.ArtifactType.MODEL_EVALUATION,
        "blessing": base.ArtifactType.MODEL_BLESSING,
    }
    Config = EvaluatorConfig
    executor = "components.evaluator.executor"
    version: ClassVar[int] = 1
    # The embeddings are TensorFlow's, the probes Keras' and scikit-learn's.
    libraries: ClassVar[tuple[str, ...]] = ("keras", "scikit-learn", "tensorflow")
    shows: ClassVar[Mapping[base.Tab, str]] = {
        "text": "scores",
        "images": "scores by class, confusion",
        "scalars": "scores to compare runs",
        "projector": "the embeddings",
    }

    def check_inputs(self, inputs: Mapping[str, epath.Path]) -> None:
        chosen = choice.choose(self.config, inputs)
        if chosen.probe is None and chosen.needs_score:
            logging.warning("the model will not be probed, and not be blessed, because %s", chosen.note)
        elif chosen.left_out:
            logging.info("the probe will leave out %s", chosen.left_out)
