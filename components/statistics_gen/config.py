"""The config of StatisticsGen."""

from typing import ClassVar

import pydantic

from components import base


class StatisticsGenConfig(base.StageConfig):
    """How to compute and show the statistics."""

    incidental: ClassVar[frozenset[str]] = frozenset({"beam_args"})

    players: int = pydantic.Field(
        20, ge=0, description="Number of clips per split to play and to see as log-mel spectrograms in TensorBoard."
    )
    beam_args: tuple[str, ...] = pydantic.Field(
        (), description="Beam's own flags, e.g. --runner=DataflowRunner. Without flags, the job runs in local threads."
    )
