"""The console script `diptych`. It also starts, to say so, where nothing but `import diptych` can work."""

import sys
import typing

from pipeline.commands import exit_status

_OURS = ("beam_jobs", "components", "diptych", "models", "pipeline")


def main() -> typing.NoReturn:
    """Runs the command line and exits."""
    try:
        # Imported here because this import fails where the packages of the pipeline are not installed.
        from pipeline import cli

        cli.command()
    except ModuleNotFoundError as error:
        package = (error.name or "").partition(".")[0]
        if package in _OURS:  # A bug.
            raise
        _refuse(package)


def _refuse(package: str) -> typing.NoReturn:
    sentence = (
        f"diptych: the command needs the package {package}, which `import diptych` does without: run `make install` in "
        'a clone of Diptych, or `pip install ".[pipeline]"` there.'
    )
    print(sentence, file=sys.stderr)
    sys.exit(exit_status.USER_ERROR)
