"""Makes the paths in overrides absolute, so that they mean the same in another folder."""

import json
import typing
from collections.abc import Iterable

import pydantic
from pydantic.fields import FieldInfo

from components.location import Location
from pipeline import paths

_BASELINES = "embedder.baselines"


def absolute(assignments: Iterable[str], *, config: pydantic.BaseModel) -> list[str]:
    """Returns overrides with absolute paths, with ~ expanded.

    Those without paths stay as they were typed, and so do those that set a whole section, and `embedder.model`, which
    `diptych evaluate` sets.

    Args:
        assignments: Overrides such as "trainer.initial_model=m.keras"; see `overrides.override`.
        config: The config with all of them applied.
    """
    return [_absolute(assignment, config=config) for assignment in assignments]


def _absolute(assignment: str, *, config: pydantic.BaseModel) -> str:
    name = assignment.partition("=")[0].strip()
    *sections, field = name.split(".")
    section: object = config
    for key in sections:
        section = getattr(section, key, None)
    if not isinstance(section, pydantic.BaseModel) or field not in type(section).model_fields:
        return assignment  # The field has another name now, or a later override has removed its section.
    value = getattr(section, field)
    if name == _BASELINES and value:
        return f"{name}={json.dumps([_of_baseline(spec) for spec in value])}"
    if isinstance(value, str) and _is_location(type(section).model_fields[field]):
        return f"{name}={paths.absolute(value)}"
    return assignment


def _of_baseline(spec: str) -> str:
    """Returns a baseline such as panns=FOLDER with the absolute path."""
    name, equals, path = spec.partition("=")
    return f"{name}={paths.absolute(path)}" if equals and path else spec


def _is_location(info: FieldInfo) -> bool:
    """Returns whether a field is a `Location`. Pydantic keeps its check apart unless the field may also be null."""
    (check,) = typing.get_args(Location)[1:]
    return check in info.metadata or Location in typing.get_args(info.annotation)
