"""A small config with nested and optional sections."""

from typing import Literal

import pydantic

from components.base import StageConfig


class Model(StageConfig):
    width: float = pydantic.Field(0.125, gt=0, description="Width of the encoders.")
    formats: tuple[str, ...] = ("waveform", "log_mel")
    levels: tuple[float, ...] = pydantic.Field((1.0,), min_length=1)


class Trainer(StageConfig):
    steps: int = pydantic.Field(3000, ge=1, description="Number of steps.")
    model: Model = Model()
    name: str | None = None
    fast: bool = False
    order: Literal["up", "down"] = "up"

    @pydantic.model_validator(mode="after")
    def _check(self):
        if self.fast and self.steps > 5000:
            raise ValueError("fast training takes at most 5000 steps: lower steps or set fast=false")
        return self


class Whole(StageConfig):
    trainer: Trainer = Trainer()
    corpus: Model | None = None
