import json

from hypothesis import given
from hypothesis import strategies as st

from pipeline.configs import describe, overrides
from tests.pipeline.configs.sections import Model, Trainer, Whole


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
