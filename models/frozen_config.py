"""The base class of all configs.

This module does not import Keras, so that a command can check a config without the seconds that Keras takes to load.
"""

import typing
from collections.abc import Iterator

import pydantic


class FrozenConfig(pydantic.BaseModel):
    """Base class: immutable; an unknown field, a wrong type, NaN, infinity or a boolean for a number is an error."""

    model_config = pydantic.ConfigDict(frozen=True, extra="forbid", protected_namespaces=(), allow_inf_nan=False)

    @pydantic.field_validator("*", mode="before")
    @classmethod
    def _check_boolean(cls, value: object, info: pydantic.ValidationInfo) -> object:
        """Refuses a boolean for a number: Pydantic takes true for 1."""
        types = set(_types_in(cls.model_fields[info.field_name].annotation))
        if types & {int, float} and bool not in types and _has_boolean(value):
            raise ValueError("must be a number, not true or false")
        return value


def _types_in(annotation: object) -> Iterator[object]:
    """Yields the types of which an annotation such as `tuple[float, ...] | None` consists."""
    if typing.get_origin(annotation) is typing.Literal:
        yield from (type(choice) for choice in typing.get_args(annotation))
        return
    yield annotation
    for inner in typing.get_args(annotation):
        yield from _types_in(inner)


def _has_boolean(value: object) -> bool:
    """Returns whether a value or an item of a list is a boolean."""
    return isinstance(value, bool) or (isinstance(value, list | tuple) and any(map(_has_boolean, value)))
