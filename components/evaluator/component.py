"""Evaluator: compares the exported embedding with the untrained encoders and a classical baseline."""

from collections.abc import Mapping
from typing import ClassVar

from components import base
from components.evaluator.config import EvaluatorConfig


class Evaluator(base.Component[EvaluatorConfig]):
    """Embeds every clip through the SavedModel's `windows` signature and probes the embeddings.

    Writes `metrics.json` (`probe`, `metric`, `scores` by set of features, `details`, `note`) and `blessing.json`
    (`blessed`, `reasons`). The sets of features are the embedding of each encoder, `both` (all of them concatenated),
    the same sets of the untrained encoders with the prefix `untrained/`, and `mfcc_mean_std`.
    """

    inputs: ClassVar[Mapping[str, base.ArtifactType]] = {
        "examples": base.ArtifactType.EXAMPLES,
        "model": base.ArtifactType.MODEL,
        "saved_model": base.ArtifactType.MODEL,
    }
    outputs: ClassVar[Mapping[str, base.ArtifactType]] = {
        "evaluation": base.ArtifactType.MODEL_EVALUATION,
        "blessing": base.ArtifactType.MODEL_BLESSING,
    }
    Config = EvaluatorConfig
    executor = "components.evaluator.executor"
    version: ClassVar[int] = 1
    # The embeddings are TensorFlow's, the probes Keras' and scikit-learn's.
    libraries: ClassVar[tuple[str, ...]] = ("keras", "scikit-learn", "tensorflow")
