"""`diptych config`: prints a config."""

import argparse

from pipeline.commands import exit_status
from pipeline.commands import shared_arguments as shared

SUMMARY = "print a preset's config with what each field means"

DESCRIPTION = f"""\
Prints every field of a preset's config: name, value, meaning.

presets:
{shared.preset_list()}

{shared.OVERRIDES}"""

EPILOG = """\
examples:
  diptych config --preset tiny trainer.steps=500
  diptych config --preset tiny --data ~/ESC-50 --json > mine.json"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the arguments of the command."""
    shared.add_config(parser)
    parser.add_argument("--json", action="store_true", help="print it as JSON, for --config, without the meanings")


def execute(arguments: argparse.Namespace) -> int:
    """Prints the config and returns the exit status.

    Raises:
        UserError: There is no such preset or field, or a value does not fit.
    """
    shared.check_preset(arguments)

    # Imported here so that `diptych --help` and the messages about wrong arguments stay fast.
    from pipeline.commands import parsed_arguments as parsed
    from pipeline.configs import describe

    config = parsed.config(arguments)
    start = f"preset {arguments.preset}" if arguments.preset else arguments.config
    if arguments.json:
        print(config.model_dump_json(indent=2))
    else:
        print(describe.text(config, title=f"# Config of {start}"))
    return exit_status.OK
