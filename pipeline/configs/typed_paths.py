"""Makes the paths in overrides absolute, so that they mean the same in another folder."""

import json
import typing
from collections.abc import Iterable, Mapping

import pydantic
from pydantic.fields import FieldInfo

from components.embedder import EmbedderConfig
from components.location import Location
from pipeline import paths


def absolute(assignments: Iterable[str], *, config: pydantic.BaseModel) -> list[str]:
    """Returns overrides with absolute paths, with ~ expanded. Those without paths stay as they were typed.

    Args:
        assignments: Overrides such as "trainer.initial_model=m.keras"; see `overrides.override`.
        config: The config with all of them applied.
    """
    return [_absolute(assignment, config=config) for assignment in assignments]


def _absolute(assignment: str, *, config: pydantic.BaseModel) -> str:
    name, _, text = assignment.partition("=")
    *sections, field = name.strip().split(".")
    section: object = config
    for key in sections:
        section = getattr(section, key, None)
    if not isinstance(section, pydantic.BaseModel) or field not in type(section).model_fields:
        return assignment  # The field has another name now, or a later override has removed its section.
    value = getattr(section, field)
    if isinstance(value, pydantic.BaseModel):
        value = _section_as_typed(text)
    found = _of_field(value, section=section, field=field)
    if found == value:
        return assignment
    return f"{name}={found if isinstance(found, str) else json.dumps(found)}"


def _section_as_typed(text: str) -> object:
    """Returns the fields of a section that an override gives, or None if it gives none."""
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return None


def _of_field(value: object, *, section: pydantic.BaseModel, field: str) -> object:
    """Returns the value of a field, or the fields of a section, with absolute paths."""
    info = type(section).model_fields.get(field)
    if info is None or not value:
        return value
    if isinstance(value, Mapping):
        inner = getattr(section, field)
        if not isinstance(inner, pydantic.BaseModel):
            return value
        return {name: _of_field(one, section=inner, field=name) for name, one in value.items()}
    if isinstance(value, str):
        return paths.absolute(value) if _is_location(info) else value
    if isinstance(section, EmbedderConfig) and field == "baselines":
        return type(value)(_of_baseline(spec) for spec in value)
    return value


def _of_baseline(spec: str) -> str:
    """Returns a baseline such as panns=FOLDER with the absolute path."""
    name, equals, path = spec.partition("=")
    return f"{name}={paths.absolute(path)}" if equals and path else spec


def _is_location(info: FieldInfo) -> bool:
    """Returns whether a field is a `Location`. Pydantic keeps its check apart unless the field may also be null."""
    (check,) = typing.get_args(Location)[1:]
    return check in info.metadata or Location in typing.get_args(info.annotation)
