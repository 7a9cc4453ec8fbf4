"""The errors of the public package. Their messages are one sentence that says what is wrong and what to do."""

from components.errors import UserError


class DiptychError(UserError, ValueError):
    """What was given cannot be loaded or embedded."""


class MissingError(DiptychError, FileNotFoundError):
    """There is no such model or audio file."""
