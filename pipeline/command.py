"""The console script `diptych`. It also starts, to say so, where nothing but `import diptych` can work."""

import importlib.util
import sys
import typing

from beam_jobs import command_lines
from pipeline.commands import exit_status

_OF_THE_EXTRA = ("apache_beam", "etils", "pydantic", "rich")
"""Some of what comes with the extra `pipeline`, which is installed as a whole or not at all."""

_OURS = ("beam_jobs", "components", "diptych", "models", "pipeline")


def main() -> typing.NoReturn:
    """Runs the command line and exits."""
    for package in _OF_THE_EXTRA:
        if importlib.util.find_spec(package) is None:
            _refuse(package)
    try:
        # Imported here because it fails where one of the others is not installed.
        from pipeline import cli

        cli.command()
    except ModuleNotFoundError as error:
        package = (error.name or "").partition(".")[0]
        if package in _OURS:  # A bug.
            raise
        _refuse(package)


def _refuse(package: str) -> typing.NoReturn:
    way_out = 'run `make install` in a clone of Diptych, or `pip install ".[pipeline]"` there'
    if command_lines.make("install"):
        way_out = f"run `{command_lines.make('install')}`, which sets up an environment of its own"
    print(
        f"diptych: the command needs the package {package}, which `import diptych` does without: {way_out}.",
        file=sys.stderr,
    )
    sys.exit(exit_status.USER_ERROR)
