"""The errors of the public package. Their messages are one sentence that says what is wrong and what to do."""

import shlex
import sys

from components.errors import UserError


class DiptychError(UserError, ValueError):
    """What was given cannot be loaded or embedded."""


class MissingError(DiptychError, FileNotFoundError):
    """There is no such model or audio file."""


def installing(package: str) -> str:
    """Returns the command that installs a package for this Python, whatever is on the PATH."""
    return f"run `{shlex.join([sys.executable or 'python3', '-m', 'pip', 'install', package])}`"
