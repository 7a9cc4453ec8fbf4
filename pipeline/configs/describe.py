"""Describes a config as text: the name, value and meaning of each field."""

import json
import textwrap

import pydantic

WIDTH = 96


def text(config: pydantic.BaseModel, *, title: str) -> str:
    """Returns all fields of a config, with an empty line between sections."""
    lines = [title]
    section = ""
    for name, value, description in fields(config):
        first_key = name.partition(".")[0]
        if section and first_key != section:
            lines.append("")
        section = first_key
        lines.append(f"{name} = {shown(value)}")
        lines.append(textwrap.indent(textwrap.fill(description, WIDTH), "    "))
    return "\n".join(lines)


def fields(config: pydantic.BaseModel, *, prefix: str = "") -> list[tuple[str, object, str]]:
    """Returns all fields as (dotted name, value, description). A section that is None is one field."""
    rows: list[tuple[str, object, str]] = []
    for name, field in type(config).model_fields.items():
        value = getattr(config, name)
        if isinstance(value, pydantic.BaseModel):
            rows += fields(value, prefix=f"{prefix}{name}.")
        else:
            rows.append((prefix + name, value, field.description or ""))
    return rows


def shown(value: object) -> str:
    """Returns a value as a user types it in an override."""
    if isinstance(value, pydantic.BaseModel):
        return value.model_dump_json()
    if isinstance(value, str):
        return value
    return json.dumps(value, default=list)
