"""Reads a config, or a part of one, from a JSON file: what `diptych config --json` prints."""

import json
from collections.abc import Sequence

from etils import epath

from components.errors import UserError
from pipeline.configs import overrides
from pipeline.configs.config import PipelineConfig


def apply(config: PipelineConfig, file: str) -> PipelineConfig:
    """Returns a copy of a config with the fields that a file sets. Those that it does not name stay.

    Args:
        config: The config.
        file: Path of the file, local or in a bucket.

    Raises:
        UserError: The file cannot be read, is not a JSON object, names a field that does not exist or one twice, or a
            value does not fit its field.
    """
    flag = f"--config {file}"
    try:
        text = epath.Path(file).read_text(encoding="utf-8")
    except FileNotFoundError as error:
        raise UserError(f"{flag}: there is no such file.") from error
    except (IsADirectoryError, UnicodeDecodeError) as error:
        raise UserError(f"{flag} is not a text file: give what `diptych config --json` printed.") from error
    try:
        fields = json.loads(text, object_pairs_hook=_without_doubles)
    except json.JSONDecodeError as error:
        raise UserError(
            f"{flag} is not JSON ({error.msg} in line {error.lineno}, column {error.colno}): give what `diptych config "
            "--json` printed."
        ) from error
    except (ValueError, RecursionError) as error:
        problem = "a number of too many digits" if isinstance(error, ValueError) else "too many brackets in each other"
        raise UserError(f"{flag} has {problem}: give what `diptych config --json` printed.") from error
    except _DoubleError as error:
        raise UserError(f"{flag} has the field {error} twice: remove one.") from error
    if not isinstance(fields, dict):
        raise UserError(f"{flag} does not hold a JSON object: give what `diptych config --json` printed.")
    try:
        return overrides.merge(config, fields)
    except UserError as error:
        raise UserError(f"{flag}: {error}") from error


class _DoubleError(Exception):
    """An object of the file has a key twice."""


def _without_doubles(pairs: Sequence[tuple[str, object]]) -> dict[str, object]:
    fields: dict[str, object] = {}
    for name, value in pairs:
        if name in fields:
            raise _DoubleError(name)
        fields[name] = value
    return fields
