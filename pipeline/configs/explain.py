"""Explains an invalid config to someone who types values on a command line rather than writes Python."""

import pydantic

_MESSAGES = {
    "int_type": "must be a whole number",
    "int_parsing": "must be a whole number",
    "int_parsing_size": "must be a number of fewer digits",
    "int_from_float": "must be a whole number",
    "float_type": "must be a number",
    "float_parsing": "must be a number",
    "finite_number": "must be a number",
    "bool_type": "must be true or false",
    "bool_parsing": "must be true or false",
    "greater_than": "must be more than {gt:g}",
    "greater_than_equal": "must be at least {ge:g}",
    "less_than": "must be less than {lt:g}",
    "less_than_equal": "must be at most {le:g}",
    "literal_error": "must be {expected}",
    "too_short": "must hold at least {min_length}",
    "extra_forbidden": "there is no such field",
}
"""Error type of Pydantic -> message. Fields in braces come from the context of the error."""

_WITHOUT_VALUE = ("value_error", "extra_forbidden")
"""Error types whose sentence is complete without the value that the user gave."""

_LONGEST_VALUE = 100
"""Characters of a value that a message shows."""


def sentence(error: pydantic.ValidationError) -> str:
    """Returns one sentence on the first thing that is wrong with a config."""
    first = error.errors(include_url=False)[0]
    error_type = first["type"]
    field = ".".join(str(part) for part in first["loc"])
    if error_type == "model_type":
        return f"{field}: set its fields one by one, as {field}.FIELD=VALUE."

    if error_type in _MESSAGES:
        message = _MESSAGES[error_type].format(**first.get("ctx", {}))
    else:
        message = first["msg"].removeprefix("Value error, ").rstrip(".")
        message = message[0].lower() + message[1:]
    value = first.get("input")
    if error_type not in _WITHOUT_VALUE and isinstance(value, str | int | float):
        message += f", not {_short(value)}"
    if field:
        return f"{field}: {message}."
    return f"{message}."


def _short(value: str | int | float) -> str:
    """Returns a value as it is shown in a message."""
    text = repr(value)
    return text if len(text) <= _LONGEST_VALUE else f"{text[:_LONGEST_VALUE]}... ({len(text):,} characters)"
