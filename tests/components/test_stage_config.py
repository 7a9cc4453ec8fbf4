"""What of a config decides whether a stage runs again."""

import functools
from typing import Literal

import pydantic
import pytest

from components.errors import UserError
from components.stage_config import StageConfig
from components.trainer import TrainerConfig
from pipeline.configs import describe, overrides
from pipeline.configs.config import PipelineConfig
from tests.pipeline.runner import component_versions


class Config(StageConfig):
    kept: int = pydantic.Field(1, description="x")
    late: int = pydantic.Field(9, description="Its default was 5 in the release that brought it.")
    moved: str = pydantic.Field("here", description="x")
    incidental = frozenset({"moved"})
    added = {"late": 5}


class Numbers(StageConfig):
    numbers: float | tuple[float, ...] | None = None
    either: bool | int = 3
    choice: Literal["auto", True] = "auto"
    plain: bool = True


def test_an_added_field_does_not_decide_while_it_stands_for_what_was_done_before():
    assert Config(late=5, moved="there").deciding() == {"kept": 1}
    assert Config().deciding() == {"kept": 1, "late": 9}


def test_mixing_steps_changes_the_key_of_no_earlier_training():
    assert "mixing_steps" not in TrainerConfig().deciding()
    assert TrainerConfig(mixing_steps=3).deciding()["mixing_steps"] == 3


@pytest.mark.parametrize("component", component_versions.components(), ids=lambda component: component.name)
def test_what_is_named_is_a_field(component):
    config = type(component.config)
    assert {*config.incidental, *config.added} <= set(config.model_fields)


def _fields():
    sections = {"synthetic_audio_gen": {}, "importer.model": "x", "trainer.model.formats": "log_mel+log_mel"}
    config = overrides.replace(PipelineConfig(), sections)
    return config, [name for name, _, _ in describe.fields(config)]


@pytest.mark.parametrize("name", _fields()[1])
def test_a_boolean_is_taken_only_for_a_boolean(name):
    """Pydantic takes true for the number 1."""
    config, _ = _fields()
    try:
        changed = overrides.override(config, [f"{name}=true"])
    except UserError as error:
        assert str(error).startswith(name)  # noqa: PT017 (it may be accepted)
        return
    value = functools.reduce(getattr, name.split("."), changed)
    assert type(value) in (bool, str, tuple)


@pytest.mark.parametrize("value", [True, False, [True, 1.0]])
def test_a_boolean_for_a_number_is_one_sentence(value):
    with pytest.raises(UserError, match=r"^numbers: must be a number, not true or false\.$"):
        overrides.replace(Numbers(), {"numbers": value})


def test_what_may_be_a_boolean_may_be_one():
    config = overrides.replace(Numbers(), {"either": True, "choice": True, "plain": False})
    assert config.model_dump() == {"numbers": None, "either": True, "choice": True, "plain": False}


def test_inert_fields_of_the_trainer_count_as_their_defaults():
    assert TrainerConfig(collapse_rank=3.0, temperature_steps=5).deciding() == TrainerConfig().deciding()
    warm = TrainerConfig(initial_temperature=0.5, temperature_steps=5).deciding()
    assert warm["temperature_steps"] == 5
    assert warm["collapse_rank"] == TrainerConfig().deciding()["collapse_rank"] == 2.0
