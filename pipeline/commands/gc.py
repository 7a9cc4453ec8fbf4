"""`diptych gc`: removes artifacts that nothing needs any more."""

import argparse

from pipeline.commands import exit_status
from pipeline.commands import shared_arguments as shared

SUMMARY = "say, or with --delete remove, what no model that counts needs"

DESCRIPTION = """\
Says which artifacts of earlier runs can be removed, and how many bytes they take; --delete removes them. All is kept
that a blessed or pushed model, the newest run or the last outputs of a stage descend from. While a run uses the root,
nothing is removed. The metadata still tells the lineage of what is gone, and a stage that needs it runs again."""

EPILOG = """\
examples:
  diptych gc --preset tiny
  diptych gc --preset tiny --delete"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the arguments of the command."""
    parser.add_argument("--preset", metavar="NAME", help="look under runs/NAME")
    shared.add_root(parser)
    parser.add_argument("--delete", action="store_true", help="remove it, rather than say what would be removed")
    parser.add_argument(
        "--unfinished",
        action="store_true",
        help="also the work of stopped stages, such as checkpoints, that the newest run does not continue",
    )


def execute(arguments: argparse.Namespace) -> int:
    """Prints what can be removed, removes it if asked to, and returns the exit status.

    Raises:
        UserError: There is no run under the root, or another run is using it.
    """
    # Imported here so that `diptych --help` and the messages about wrong arguments stay fast.
    from rich.console import Console

    from pipeline.commands import parsed_arguments as parsed
    from pipeline.lineage import garbage, garbage_table
    from pipeline.runner import interrupts

    root = parsed.root(arguments)
    store = parsed.store_with_runs(arguments, root=root)
    console = Console()
    if not arguments.delete:
        garbage_table.show(
            garbage.find(root, store, unfinished=arguments.unfinished), console, is_live=root.is_locked()
        )
        return exit_status.OK
    try:
        with interrupts.as_exceptions(), root.lock():
            store = parsed.store(arguments, root=root)
            folders = garbage.find(root, store, unfinished=arguments.unfinished)
            for folder in folders:
                if folder.fate == "removable":
                    garbage.remove(folder, root, store)
            garbage_table.show(folders, console, has_removed=True)
    except interrupts.Interrupted as interrupt:  # The same command removes the rest.
        return interrupt.exit_status
    return exit_status.OK
