"""The Trainer's config. The defaults are the values of the paper (section 3), where it gives any."""

from collections.abc import Mapping
from typing import ClassVar, Literal

import pydantic

from components.base import StageConfig
from components.location import Location
from models import catalog
from models.config import ModelConfig


class TrainerConfig(StageConfig):
    """How the model is trained."""

    incidental: ClassVar[frozenset[str]] = frozenset(
        {
            "extend",
            "initial_model",  # Digested by what it holds, so that it may be spelled otherwise or moved.
            "strategy",
            "tpu",
            "steps_per_loop",
            "log_every",
            "checkpoint_every",
            "keep_checkpoints",
            "profile",
        }
    )
    added: ClassVar[Mapping[str, object]] = {"mixing_steps": 0, "pairs_per_clip": 1}

    model: ModelConfig = ModelConfig()
    initial_model: Location | None = pydantic.Field(
        None,
        description="A model of the same architecture whose weights the training starts from: a .keras file, the "
        "folder of a trained or imported model, or an exported SavedModel, which has no projector; null: random "
        "weights.",
    )
    extend: bool = pydantic.Field(
        True,
        description="Whether a training goes on from the end of a finished one with fewer steps and otherwise the same "
        "config; false: it starts anew.",
    )
    strategy: Literal["auto", "one", "mirrored", "multi_worker", "tpu"] = pydantic.Field(
        "auto",
        description="Where to train. one: one device; mirrored: all GPUs of this machine; multi_worker: all GPUs of "
        "the machines in TF_CONFIG; tpu: all cores of a TPU; auto: the largest of these that is available.",
    )
    tpu: str = pydantic.Field(
        "local",
        description="Name of the TPU, on which strategy=auto then trains, too; local: the TPU of this machine.",
    )
    precision: Literal["auto", "float32", "bfloat16"] = pydantic.Field(
        "auto",
        description="Data type in which the encoders compute; weights stay float32; auto: bfloat16 on a TPU, float32 "
        "elsewhere.",
    )
    steps: int = pydantic.Field(400_000, ge=1, le=10**12, description="Number of optimizer steps.")
    batch_size: int = pydantic.Field(
        1024, ge=2, description="Pairs of crops in a batch, over all replicas; a clip gives pairs_per_clip of them."
    )
    pairs_per_clip: int = pydantic.Field(
        1,
        ge=1,
        description="Pairs of crops that a batch has of each of its clips, a divisor of batch_size. With more, a step "
        "reads fewer clips. Crops of one clip are never contrasted as negatives; they may be mixed.",
    )
    micro_batch: int | None = pydantic.Field(
        None,
        ge=2,
        description="Pairs that a replica embeds at a time, for batches larger than memory. The gradient stays that of "
        "the whole batch (except for batch norm) and takes a third more computation; null: the replica's "
        "whole share of the batch.",
    )
    objective: Literal["cross", "all"] = pydantic.Field(
        "cross",
        description="cross: contrasts a crop in branch A's format with the other crop in branch B's, as in the paper; "
        "all: also the other way round, and the two crops within each format; a step takes twice as long, and "
        "contrasts the same crops again where both branches share an encoder and are augmented alike.",
    )
    decoupled: bool = pydantic.Field(
        False,
        description="Leaves the positive out of the denominator of the loss (decoupled contrastive learning), which "
        "helps small batches.",
    )
    # Below, the loss and its gradient leave the range of float32.
    temperature: float = pydantic.Field(0.1, ge=1e-6, le=1e6, description="Temperature tau of the contrastive loss.")
    initial_temperature: float | None = pydantic.Field(
        None,
        ge=1e-6,
        le=1e6,
        description="Temperature at step 0; it changes linearly to trainer.temperature within temperature_steps; null: "
        "the same throughout.",
    )
    temperature_steps: int = pydantic.Field(
        1000, ge=1, description="Steps until the temperature is trainer.temperature, if there is an initial one."
    )
    mixing_steps: int = pydantic.Field(
        0,
        ge=0,
        description="Steps within which mixing grows linearly from none to that of the paper; 0: the same throughout.",
    )
    optimizer: Literal["adam", "lamb", "lars"] = pydantic.Field(
        "adam",
        description="adam: as in the paper; lamb, lars: scale each layer's step by the norm of its weights, for huge "
        "batches.",
    )
    learning_rate: float = pydantic.Field(1e-4, gt=0, description="Peak learning rate.")
    branch_learning_rates: tuple[float, float] = pydantic.Field(
        (1.0, 1.0),
        description="Multiply the learning rate in the encoders of branch A and of branch B; the projector has the "
        "learning rate itself. With lamb and lars they multiply the weight decay, too; with adam they do not.",
    )
    final_learning_rate: float = pydantic.Field(1e-6, ge=0, description="Learning rate at the end of the cosine decay.")
    warmup_steps: int = pydantic.Field(0, ge=0, description="Steps of linear warm-up before the decay.")
    weight_decay: float = pydantic.Field(
        0.0,
        ge=0,
        description="Weight decay, except in norms and biases. adam: each step multiplies every weight by 1 - learning "
        "rate * weight decay; lamb, lars: it is part of the step whose length they choose, as in their papers.",
    )
    ema: float = pydantic.Field(
        0.0,
        ge=0,
        lt=1,
        description="Momentum of a moving average of the weights, which is validated and published instead of the "
        "weights, with the statistics of batch norm as they are; 0: no average.",
    )
    seed: int = pydantic.Field(
        0, ge=0, lt=2**31, description="Seed of the initial weights, the order of clips, the crops and augmentations."
    )
    short_clips: Literal["tile", "pad"] = pydantic.Field(
        "tile", description="A clip shorter than the crop is repeated (tile), or followed by silence (pad)."
    )
    clips_per_read: int = pydantic.Field(
        1,
        ge=1,
        description="Neighboring clips that are read at a time, from random places of all files. More suit slow disks; "
        "all hosts together then hold 2,048 times as many clips in memory, to shuffle them.",
    )
    steps_per_loop: int = pydantic.Field(
        100,
        ge=1,
        description="Maximum number of steps in a call of the compiled loop. Calls take about 10 s, and Ctrl-C waits "
        "for the end of one.",
    )
    log_every: int = pydantic.Field(100, ge=1, description="Steps between points in TensorBoard.")
    eval_every: int = pydantic.Field(2000, ge=1, description="Steps between validations on the valid split.")
    probe_clips: int = pydantic.Field(
        2000,
        ge=0,
        description="Maximum number of valid clips for the probe that chooses the best model, drawn from the whole "
        "split; fewer than 200: the loss chooses; 0: no probe.",
    )
    patience: int | None = pydantic.Field(
        None, ge=1, description="Stops after this number of validations without a better model; null: never."
    )
    collapse_rank: float = pydantic.Field(
        2.0,
        ge=1,
        description="Warns when the effective rank of a branch's embeddings is below this in three validations in a "
        "row.",
    )
    checkpoint_every: int = pydantic.Field(2000, ge=1, description="Steps between checkpoints.")
    keep_checkpoints: int = pydantic.Field(
        2, ge=1, description="Number of newest checkpoints to keep, besides the best one."
    )
    profile: bool = pydantic.Field(False, description="Records a trace of steps 10 to 20 for TensorBoard's profiler.")

    @pydantic.model_validator(mode="after")
    def _check_branch_learning_rates(self) -> "TrainerConfig":
        factor_a, factor_b = self.branch_learning_rates
        if factor_a <= 0 or factor_b <= 0:
            raise ValueError(f"branch_learning_rates {factor_a:g}, {factor_b:g}: both must be more than 0")
        if factor_a != factor_b and len(set(self._embedding_names)) == 1:
            raise ValueError(
                f"branch_learning_rates {factor_a:g}, {factor_b:g}: both branches share one encoder, so both must be "
                "equal, or model.share_encoder false"
            )
        return self

    def inert(self) -> tuple[str, ...]:
        # Collapse is only warned of.
        return ("collapse_rank",) if self.initial_temperature else ("collapse_rank", "temperature_steps")

    @property
    def _embedding_names(self) -> tuple[str, ...]:
        return catalog.embedding_names(self.model.format_names, share_encoder=self.model.share_encoder)

    @property
    def clips_per_step(self) -> int:
        """The number of clips in a batch."""
        return self.batch_size // self.pairs_per_clip

    def micro_batch_size(self, *, replicas: int) -> int:
        """Returns the number of pairs that a replica embeds at a time."""
        return self.micro_batch or self.batch_size // replicas
