"""`diptych status`: shows the table of the last run."""

import argparse

from pipeline.commands import exit_status
from pipeline.commands import shared_arguments as shared

SUMMARY = "show the state or the result of the last run"

DESCRIPTION = "Shows the table of the last run under a root, also while the run is in progress."

EPILOG = """\
example:
  diptych status --preset quickstart"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the arguments of the command."""
    parser.add_argument("--preset", metavar="NAME", help="show the run under runs/NAME")
    shared.add_root(parser)


def execute(arguments: argparse.Namespace) -> int:
    """Prints the table and returns the exit status.

    Raises:
        UserError: There is no run under the root.
    """
    # Imported here so that `diptych --help` and the messages about wrong arguments stay fast.
    from rich.console import Console

    from pipeline.commands import parsed_arguments as parsed
    from pipeline.console import report

    root = parsed.root(arguments)
    store = parsed.store_with_runs(arguments, root=root)
    report.show(report.build(store, store.runs()[-1], root=root, is_live=root.is_locked()), Console())
    return exit_status.OK
