import json
from typing import Literal

import pydantic
from hypothesis import given
from hypothesis import strategies as st

from components.base import StageConfig
from pipeline.configs import describe, overrides


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


class Whole(StageConfig):
    trainer: Trainer = Trainer()
    corpus: Model | None = None


@given(st.integers(1), st.floats(min_value=1e-6, max_value=1e6))
def test_what_is_shown_can_be_typed_as_overrides(steps, width):
    config = Whole(trainer=Trainer(steps=steps, model=Model(width=width)))
    typed = [f"{name}={describe.shown(value)}" for name, value, _ in describe.fields(config)]
    assert overrides.override(Whole(), typed) == config


def test_fields_lists_everything_with_descriptions():
    rows = describe.fields(Whole())
    assert ("trainer.steps", 3000, "Number of steps.") in rows
    assert ("corpus", None, "") in rows
    assert json.loads(describe.shown(rows[-1][1])) is None


def test_text_puts_an_empty_line_between_sections():
    lines = describe.text(Whole(), title="# Config").splitlines()
    assert lines[:3] == ["# Config", "trainer.steps = 3000", "    Number of steps."]
    assert lines[lines.index("corpus = null") - 1] == ""
