"""The Trainer's config. Defaults are the paper's (section 3) wherever it gives a value."""

from typing import ClassVar, Literal

import pydantic

from components.base import StageConfig
from models.config import ModelConfig


class TrainerConfig(StageConfig):
    """How the model is trained."""

    incidental: ClassVar[frozenset[str]] = frozenset(
        {"strategy", "tpu", "steps_per_loop", "log_every", "checkpoint_every", "keep_checkpoints", "profile"}
    )

    model: ModelConfig = ModelConfig()
    strategy: Literal["auto", "one", "mirrored", "multi_worker", "tpu"] = pydantic.Field(
        "auto",
        description="Where to train: one device, a replica on each GPU of this machine, on those of all machines in "
        "TF_CONFIG, or on each core of a TPU; auto takes the largest of them that there is.",
    )
    tpu: str = pydantic.Field("local", description="Name of the TPU; local for the one that this machine is of.")
    precision: Literal["auto", "float32", "bfloat16"] = pydantic.Field(
        "auto", description="What the encoders compute in, with float32 weights; auto is bfloat16 on a TPU."
    )
    steps: int = pydantic.Field(400_000, ge=1, description="Optimiser steps.")
    batch_size: int = pydantic.Field(1024, ge=2, description="Clips in a step, over all replicas.")
    micro_batch: int | None = pydantic.Field(
        None,
        ge=2,
        description="Clips that a replica embeds at a time, for batches larger than memory: the gradient of the whole "
        "batch (but for batch norm and dropout) at a third more computing; null: its whole share of the batch.",
    )
    temperature: float = pydantic.Field(0.1, gt=0, description="tau of the contrastive loss.")
    optimizer: Literal["adam", "lamb", "lars"] = pydantic.Field(
        "adam", description="adam as the paper; lamb and lars scale each layer's step by its weights, for huge batches."
    )
    learning_rate: float = pydantic.Field(1e-4, gt=0, description="The optimiser's, at its highest.")
    final_learning_rate: float = pydantic.Field(1e-6, ge=0, description="Where the cosine decay ends.")
    warmup_steps: int = pydantic.Field(0, ge=0, description="Steps of linear warm-up ahead of the decay.")
    weight_decay: float = pydantic.Field(
        0.0, ge=0, description="Share of each weight (not of norms and biases) lost in a step, times the learning rate."
    )
    ema: float = pydantic.Field(
        0.0, ge=0, lt=1, description="Momentum of a moving average of the weights, which is then what counts; 0: none."
    )
    seed: int = pydantic.Field(0, ge=0, lt=2**31, description="Of initial weights, order, crops and augmentations.")
    short_clips: Literal["tile", "pad"] = pydantic.Field(
        "tile", description="A clip shorter than the crop is repeated, or filled with silence."
    )
    shuffle_buffer: int = pydantic.Field(
        2048, ge=1, description="Clips among which the next is drawn, on top of a new order of files in each pass."
    )
    steps_per_loop: int = pydantic.Field(
        100, ge=1, description="Most steps in a call of the compiled loop, of about 10 s; Ctrl-C waits for its end."
    )
    log_every: int = pydantic.Field(100, ge=1, description="Steps between TensorBoard points.")
    eval_every: int = pydantic.Field(2000, ge=1, description="Steps between looks at the valid split.")
    probe_clips: int = pydantic.Field(
        2000, ge=0, description="Most clips of the valid split for the probe that chooses the best model."
    )
    patience: int | None = pydantic.Field(
        None, ge=1, description="Looks at the valid split without a better one after which to stop; null: never."
    )
    collapse_rank: float = pydantic.Field(
        2.0, ge=1, description="Warn when the embeddings of a branch fill fewer dimensions three looks in a row."
    )
    checkpoint_every: int = pydantic.Field(2000, ge=1, description="Steps between checkpoints, kept for a rerun.")
    keep_checkpoints: int = pydantic.Field(2, ge=1, description="How many of the newest to keep, besides the best.")
    profile: bool = pydantic.Field(False, description="Records a trace of steps 10 to 20 for TensorBoard's profiler.")
