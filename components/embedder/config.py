"""The Embedder's config."""

from typing import ClassVar, Literal

import pydantic

from beam_jobs.embedding.embedder import BATCH_SIZE
from components.base import StageConfig
from components.embedder import baselines
from components.location import Location


class EmbedderConfig(StageConfig):
    """What to embed, and with what."""

    # Another size of the batches moves the last digits at most, as another machine does.
    incidental: ClassVar[frozenset[str]] = frozenset({"batch_size", "beam_args"})

    row: Literal["window", "clip"] = pydantic.Field(
        "window",
        description="What a row holds: window: the embeddings of a sub-clip, so that probes average their scores as "
        "the paper does; clip: their means over the sub-clips of a clip, which take a fraction of the space.",
    )
    baselines: tuple[str, ...] = pydantic.Field(
        ("mfcc_mean_std",),
        description=f"What to compare the model with, besides its own untrained encoders: {baselines.HELP}.",
    )
    max_clips: int | None = pydantic.Field(
        None, ge=1, description="Maximum number of clips to embed in each split, drawn from all of it; null: all."
    )
    baseline_max_clips: int | None = pydantic.Field(
        None,
        ge=1,
        description="The same for all but the trained model. They embed the same clips, which are among those of the "
        "trained model.",
    )
    model: str | None = pydantic.Field(
        None,
        description="The model to embed with in place of the exported one: the folder of a SavedModel, or NAME=PATH as "
        "for baselines. `diptych evaluate` sets it.",
    )
    untrained_model: Location | None = pydantic.Field(
        None,
        description="With model, the Trainer's folder that holds its encoders before training; null: there is none.",
    )
    batch_size: int = pydantic.Field(
        BATCH_SIZE,
        ge=1,
        description="Sub-clips that are embedded at a time; decides memory and speed. Small encoders are fastest on a "
        "CPU if its caches hold what the sub-clips take; a GPU wants more.",
    )
    beam_args: tuple[str, ...] = pydantic.Field(
        (), description="Beam's own flags, e.g. --runner=DataflowRunner. Without flags, the job runs in local threads."
    )
