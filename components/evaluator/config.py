"""The Evaluator's config. Defaults of the mlp probe are the paper's (section 3) where it gives a value."""

from typing import Literal

import pydantic

from components.base import StageConfig


class EvaluatorConfig(StageConfig):
    """How to probe the embedding and when to bless it."""

    probe: Literal["auto", "linear", "mlp", "none"] = pydantic.Field(
        "auto",
        description="linear: softmax regression over the folds, accuracy (ESC-50); mlp: one hidden layer and sigmoids, "
        "mAP on the eval split (AudioSet) or, without one, over the folds; auto: what the labels allow and, if they "
        "allow both, mlp if more than a tenth of the clips have several labels or its eval split has more clips, "
        "otherwise linear; no probe on fewer than 5 test clips; none: no probe.",
    )
    min_margin: float = pydantic.Field(
        0.0,
        ge=0,
        le=1,
        description="The embedding is blessed if its score exceeds those of the untrained encoders and of MFCCs by "
        "more than this.",
    )
    linear_c: tuple[float, ...] = pydantic.Field(
        (0.01, 0.03, 0.1, 0.3, 1.0, 3.0, 10.0),
        min_length=1,
        description="Inverse regularization strengths that the linear probe selects from, on fold 1.",
    )
    mlp_hidden: int = pydantic.Field(512, ge=1, description="Hidden units of the mlp probe (paper: 512).")
    mlp_epochs: int = pydantic.Field(40, ge=1, description="Maximum number of epochs of the mlp probe.")
    mlp_patience: int = pydantic.Field(
        10,
        ge=1,
        description="Looks at the validation clips without a better mAP before the mlp probe stops. It looks after "
        "each epoch, and every 2,000 steps of a longer one.",
    )
    mlp_batch_size: int = pydantic.Field(256, ge=1, description="Sub-clips per training step of the mlp probe.")
    mlp_learning_rate: float = pydantic.Field(1e-3, gt=0, description="Adam's learning rate in the mlp probe.")
    baseline: str | None = pydantic.Field(
        None,
        description="The set of features that the others are compared with, clip by clip: the difference of the scores "
        "with its 95 % interval; null: untrained/both or, where it is not probed, mfcc_mean_std.",
    )
    seed: int = pydantic.Field(
        0, ge=0, description="Fixes all that is drawn: initial weights, the order of training examples, resamplings."
    )

    @pydantic.field_validator("linear_c")
    @classmethod
    def _check_linear_c(cls, values: tuple[float, ...]) -> tuple[float, ...]:
        if min(values) <= 0:
            raise ValueError("every strength must be above 0")
        return values
