"""Changing a frozen config field by field: `section.field=value` as typed on a command line, checked and explained."""

import contextlib
import difflib
import json
import typing
from collections.abc import Iterable, Mapping

import pydantic

from components.errors import UserError

Config = typing.TypeVar("Config", bound=pydantic.BaseModel)


def override(config: Config, assignments: Iterable[str]) -> Config:
    """Returns a copy with "trainer.steps=100", "trainer.model.width=0.25" and the like put in.

    Values are JSON (12, 0.5, true, null, ["a", "b"]); what is not JSON is taken as text; a list may also be written
    a,b. The spellings True, False and None are understood.

    Raises:
        UserError: no such field, or a value that does not fit it.
    """
    for assignment in assignments:
        path, equals, text = assignment.partition("=")
        if not equals or not path.strip():
            raise UserError(f"{assignment!r} is not an override: write it as section.field=value.")
        config = _assign(config, path.strip(), text)
    return config


def replace(config: Config, values: Mapping[str, object]) -> Config:
    """Returns a copy with some fields set: {"audio_example_gen.source": "clips", "synthetic_audio_gen": None}.

    Raises:
        UserError: no such field, or a value that does not fit it.
    """
    for path, value in values.items():
        data = config.model_dump()
        _put(data, config, path.split("."), path, value)
        config = _validated(type(config), data)
    return config


def fields(config: pydantic.BaseModel, *, prefix: str = "") -> list[tuple[str, object, str]]:
    """All fields as (dotted name, value, description); a section that is None is one row."""
    rows = []
    for name, field in type(config).model_fields.items():
        value = getattr(config, name)
        if isinstance(value, pydantic.BaseModel):
            rows += fields(value, prefix=f"{prefix}{name}.")
        else:
            rows.append((prefix + name, value, field.description or ""))
    return rows


def _assign(config: Config, path: str, text: str) -> Config:
    errors = []
    for value in _readings(text):
        try:
            return replace(config, {path: value})
        except UserError as error:
            errors.append(error)
    # The likeliest reading says best what is wrong, but of a list that is the last one, as a list.
    cause = errors[0].__cause__
    is_list = isinstance(cause, pydantic.ValidationError) and cause.errors()[0]["type"] == "tuple_type"
    raise errors[-1 if is_list else 0]


def _readings(text: str) -> Iterable[object]:
    """What a value on the command line may mean, most likely first."""
    spelled = {"True": True, "False": False, "None": None}
    if text in spelled:
        yield spelled[text]
    with contextlib.suppress(json.JSONDecodeError):
        yield json.loads(text)
    yield text
    yield [part.strip() for part in text.split(",") if part.strip()]


def _put(
    data: dict, model: pydantic.BaseModel | type[pydantic.BaseModel], keys: list[str], path: str, value: object
) -> None:
    """Sets data[k0][k1]... to value after checking each key against the model's fields."""
    key, *rest = keys
    model_fields = model.model_fields if isinstance(model, type) else type(model).model_fields
    if key not in model_fields:
        _refuse_unknown(path, keys, model_fields)
    if not rest:
        data[key] = value
        return
    section = getattr(model, key, None) if isinstance(model, pydantic.BaseModel) else None
    if not isinstance(section, pydantic.BaseModel):
        section = _section_type(model_fields[key].annotation)
        if section is None:
            raise UserError(f"{path}: {key} is a single value, not a section.")
    if not isinstance(data.get(key), dict):
        data[key] = {}  # The section was None; naming one of its fields puts it in, with its defaults.
    _put(data[key], section, rest, path, value)


def _section_type(annotation: object) -> type[pydantic.BaseModel] | None:
    """The config class in an annotation such as `Section | None`."""
    for choice in (annotation, *typing.get_args(annotation)):
        if isinstance(choice, type) and issubclass(choice, pydantic.BaseModel):
            return choice
    return None


def _refuse_unknown(path: str, keys: list[str], known: Iterable[str]) -> typing.NoReturn:
    """Says what may have been meant by the first of `keys`, the end of `path`."""
    key, *rest = keys
    section = path.split(".")[: -len(keys)]
    close = difflib.get_close_matches(key, known, n=1)
    if close:
        raise UserError(f"{path}: there is no such field; did you mean {'.'.join([*section, close[0], *rest])}?")
    raise UserError(f"{path}: there is no such field; {'.'.join(section) or 'the config'} has {', '.join(known)}.")


def _validated(model: type[Config], data: object) -> Config:
    try:
        return model.model_validate(data)
    except pydantic.ValidationError as error:
        raise UserError(explain(error)) from error


_SAID = {
    **dict.fromkeys(("int_type", "int_parsing", "int_from_float"), "must be a whole number"),
    **dict.fromkeys(("float_type", "float_parsing", "finite_number"), "must be a number"),
    **dict.fromkeys(("bool_type", "bool_parsing"), "must be true or false"),
    "greater_than": "must be more than {gt:g}",
    "greater_than_equal": "must be at least {ge:g}",
    "less_than": "must be less than {lt:g}",
    "less_than_equal": "must be at most {le:g}",
    "literal_error": "must be {expected}",
    "too_short": "must hold at least {min_length}",
    "extra_forbidden": "there is no such field",
}
"""Pydantic's error types, said to someone who types a value rather than writes Python."""
_SAYS_ALL = ("value_error", "extra_forbidden")
"""Error types to which the value that was given adds nothing."""


def explain(error: pydantic.ValidationError) -> str:
    """One sentence for the first thing that is wrong with a config."""
    first = error.errors(include_url=False)[0]
    where = ".".join(str(part) for part in first["loc"])
    given = first.get("input")
    if first["type"] == "model_type":
        return f"{where}: set its fields one by one, as {where}.FIELD=VALUE."
    if first["type"] in _SAID:
        message = _SAID[first["type"]].format(**first.get("ctx", {}))
    else:
        message = first["msg"].removeprefix("Value error, ").rstrip(".")
        message = message[0].lower() + message[1:]
    shown = f", not {given!r}" if first["type"] not in _SAYS_ALL and isinstance(given, str | int | float) else ""
    return f"{where}: {message}{shown}." if where else f"{message}."


def shown(value: object) -> str:
    """A value as one would type it in an override."""
    if isinstance(value, pydantic.BaseModel):
        return value.model_dump_json()
    return value if isinstance(value, str) else json.dumps(value, default=list)
