"""Changes single fields of a frozen config: `section.field=value` as typed on a command line."""

import contextlib
import difflib
import json
import typing
from collections.abc import Iterable, Iterator, Mapping, Sequence

import pydantic
from absl import logging

from components.errors import UserError
from pipeline.configs import explain

Config = typing.TypeVar("Config", bound=pydantic.BaseModel)

_PYTHON_SPELLINGS = {"True": True, "False": False, "None": None}

_MOVED = {"evaluator.max_clips": "embedder.max_clips"}
"""Names of fields in earlier versions -> their names now."""


def override(config: Config, assignments: Iterable[str]) -> Config:
    """Returns a copy of a config with assignments such as "trainer.steps=100" applied.

    Args:
        config: The config.
        assignments: Each is `section.field=value`. The value is JSON (12, 0.5, true, null, ["a", "b"]). Anything else
            is text, or a list if written as a,b. True, False and None are also understood.

    Raises:
        UserError: There is no such field, or a value does not fit its field.
    """
    for assignment in assignments:
        path, equals, text = assignment.partition("=")
        path = path.strip()
        if not equals or not path:
            raise UserError(f"{assignment!r} is not an override: write it as section.field=value.")
        if path in _MOVED:
            logging.warning("%s is %s now", path, _MOVED[path])
            path = _MOVED[path]
        config = _assign(config, path, text)
    return config


def replace(config: Config, values: Mapping[str, object]) -> Config:
    """Returns a copy of a config with some fields set.

    Args:
        config: The config.
        values: Dotted name of a field -> value, e.g. {"audio_example_gen.source": "clips"}, or dotted name of a
            section -> its fields, as in `merge`. They are set one after the other.

    Raises:
        UserError: There is no such field, or a value does not fit its field.
    """
    for path, value in values.items():
        config = merge(config, {path: value})
    return config


def merge(config: Config, fields: Mapping[str, object]) -> Config:
    """Returns a copy of a config with the fields of a nested mapping set, all at once, and all others as they were.

    Args:
        config: The config.
        fields: Name of a field -> value, or name of a section -> its fields, e.g. {"trainer": {"steps": 100}}. An
            empty section gets its defaults if it is None, and else stays as it is.

    Raises:
        UserError: There is no such field, it is given twice, or a value does not fit its field.
    """
    data = config.model_dump()
    for path, value in _flat(fields, model=type(config)).items():
        _set_field(data, path, value, model=type(config))
    return _validated(config, data)


def _flat(fields: Mapping[str, object], *, model: type[pydantic.BaseModel]) -> dict[str, object]:
    """Returns the dotted names of the fields in a nested mapping -> their values.

    Raises:
        UserError: There is no such section, or a field is given twice.
    """
    found: dict[str, object] = {}
    for path, value in _leaves(fields, model=model):
        if path in _MOVED:
            logging.warning("%s is %s now", path, _MOVED[path])
            path = _MOVED[path]
        if path in found:
            raise UserError(f"{path} is given twice: remove one.")
        found[path] = value
    for path in found:
        for section in _sections_around(path):
            if section in found and not isinstance(found[section], Mapping):
                raise UserError(f"{section} is given twice, as a value and by its field {path}: remove one.")
    return found


def _leaves(
    fields: Mapping[str, object], *, model: type[pydantic.BaseModel], within: str = ""
) -> Iterator[tuple[str, object]]:
    """Yields the dotted names of the fields, and of the empty sections, in a nested mapping, with their values."""
    for name, value in fields.items():
        path = f"{within}.{name}" if within else name
        if isinstance(value, Mapping):
            _section_at(path.split("."), path, model=model)
            yield from _leaves(value, model=model, within=path)
        if not isinstance(value, Mapping) or not value:
            yield path, value


def _sections_around(path: str) -> list[str]:
    """Returns the dotted names of the sections that a field is in, e.g. trainer and trainer.model."""
    keys = path.split(".")
    return [".".join(keys[:count]) for count in range(1, len(keys))]


def _validated(config: Config, data: Mapping[str, object]) -> Config:
    try:
        return type(config).model_validate(data)
    except pydantic.ValidationError as error:
        raise UserError(explain.sentence(error)) from error


def _assign(config: Config, path: str, text: str) -> Config:
    """Sets a field to the first interpretation of `text` that the field accepts."""
    errors = []
    for value in _interpretations(text):
        try:
            return replace(config, {path: value})
        except UserError as error:
            errors.append(error)
    # The error of the likeliest interpretation says best what is wrong. For a list that is the last one.
    raise errors[-1] if _expects_list(errors[0]) else errors[0]


def _interpretations(text: str) -> Iterator[object]:
    """Yields the values that a text on the command line may stand for, the likeliest first."""
    if text in _PYTHON_SPELLINGS:
        yield _PYTHON_SPELLINGS[text]
    # Not only JSONDecodeError: a number may have too many digits, and lists may lie too deeply in each other.
    with contextlib.suppress(ValueError, RecursionError):
        yield json.loads(text)
    yield text
    # Shells take away the quotes that JSON wants.
    inner = text[1:-1] if text.startswith("[") and text.endswith("]") else text
    yield [part.strip() for part in inner.split(",") if part.strip()]


def _expects_list(error: UserError) -> bool:
    cause = error.__cause__
    return isinstance(cause, pydantic.ValidationError) and cause.errors()[0]["type"] == "tuple_type"


def _set_field(data: dict[str, object], path: str, value: object, *, model: type[pydantic.BaseModel]) -> None:
    """Sets the field `path` in the data of a config after checking each key against the fields of its section.

    A section that is None gets its defaults when one of its fields is set, or when it is set to an empty mapping.
    """
    *sections, field = path.split(".")
    model = _section_at(sections, path, model=model)
    _check_key(field, path, fields=model.model_fields, section=sections)
    for key in sections:
        if not isinstance(data.get(key), dict):
            data[key] = {}
        data = data[key]
    if not isinstance(value, Mapping) or not isinstance(data.get(field), dict):
        data[field] = value


def _section_at(sections: Sequence[str], path: str, *, model: type[pydantic.BaseModel]) -> type[pydantic.BaseModel]:
    """Returns the config class of a section within a section, and so on.

    Args:
        sections: Their names, from the outermost one.
        path: The path that the message names.
        model: The class of the config.

    Raises:
        UserError: There is no such section.
    """
    for depth, key in enumerate(sections):
        _check_key(key, path, fields=model.model_fields, section=sections[:depth])
        model = _section_class(model, key, path)
    return model


def _section_class(model: type[pydantic.BaseModel], key: str, path: str) -> type[pydantic.BaseModel]:
    """Returns the config class of the section `key`, whose annotation may be `Section | None`.

    Raises:
        UserError: `key` is a single value.
    """
    annotation = model.model_fields[key].annotation
    for choice in (annotation, *typing.get_args(annotation)):
        if isinstance(choice, type) and issubclass(choice, pydantic.BaseModel):
            return choice
    raise UserError(f"{path}: {key} is a single value, not a section.")


def _check_key(key: str, path: str, *, fields: Iterable[str], section: Sequence[str]) -> None:
    """Checks that a section has the field `key`.

    Args:
        key: One key of `path`.
        path: The whole path, which the message names.
        fields: Names of the fields of the section.
        section: The keys of `path` before `key`.

    Raises:
        UserError: There is no such field. The message names a similar one, or all.
    """
    if key in fields:
        return
    close = difflib.get_close_matches(key, fields, n=1)
    if close:
        rest = path.split(".")[len(section) + 1 :]
        meant = ".".join([*section, close[0], *rest])
        raise UserError(f"{path}: there is no such field; did you mean {meant}?")
    raise UserError(f"{path}: there is no such field; {'.'.join(section) or 'the config'} has {', '.join(fields)}.")
