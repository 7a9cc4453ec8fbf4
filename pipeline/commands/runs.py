"""`diptych runs`: lists the runs of a root."""

import argparse

from components.errors import UserError
from pipeline.commands import exit_status
from pipeline.commands import shared_arguments as shared

SUMMARY = "list the runs: when, how they ended, score, and what changed"

DESCRIPTION = """\
Lists the runs of a root: when each started, how it ended, the score of its model, how long it took, and what changed
of the config, the code and the data since the run before."""

EPILOG = """\
example:
  diptych runs --preset quickstart"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the arguments of the command."""
    parser.add_argument("--preset", metavar="NAME", help="list the runs under runs/NAME")
    shared.add_root(parser)
    parser.add_argument("--newest", type=int, default=20, metavar="N", help="list the newest N (default: 20; 0: all)")


def execute(arguments: argparse.Namespace) -> int:
    """Prints the list and returns the exit status.

    Raises:
        UserError: There is no run under the root, or the number is negative.
    """
    # Imported here so that `diptych --help` and the messages about wrong arguments stay fast.
    from rich.console import Console

    from pipeline.commands import parsed_arguments as parsed
    from pipeline.lineage import runs

    root = parsed.root(arguments)
    store = parsed.store_with_runs(arguments, root=root)
    if arguments.newest < 0:
        raise UserError(f"--newest {arguments.newest}: give a number of runs, or 0 for all.")
    newest = arguments.newest or None
    runs.show(runs.rows(store, newest=newest, is_live=root.is_locked()), Console())
    return exit_status.OK
