"""What of a config decides whether a stage runs again."""

import pydantic
import pytest

from components.stage_config import StageConfig
from components.trainer import TrainerConfig
from tests.pipeline.runner import component_versions


class Config(StageConfig):
    kept: int = pydantic.Field(1, description="x")
    late: int = pydantic.Field(9, description="Its default was 5 in the release that brought it.")
    moved: str = pydantic.Field("here", description="x")
    incidental = frozenset({"moved"})
    added = {"late": 5}


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
