"""`diptych diff`: says what differs between two runs."""

import argparse
import os

from pipeline.commands import exit_status
from pipeline.commands import shared_arguments as shared

SUMMARY = "say what differs between two runs: config, code, data, scores"

DESCRIPTION = """\
Compares two runs: the fields of the config that decide outputs, the versions of stages and libraries, the code, the
data, and the scores."""

EPILOG = """\
examples:
  diptych diff 20261126-095500-934f last --preset quickstart
  diptych diff 934f 1c07 --root runs/quickstart
  diptych diff runs/tiny runs/small"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the arguments of the command."""
    which = "name of a run (`diptych runs` lists them), a part of the name, `last`, or another root, for its last run"
    parser.add_argument("before", metavar="RUN_A", help=which)
    parser.add_argument("after", metavar="RUN_B", help="the same")
    parser.add_argument("--preset", metavar="NAME", help="look under runs/NAME")
    shared.add_root(parser)


def execute(arguments: argparse.Namespace) -> int:
    """Prints the tables and returns the exit status.

    Raises:
        UserError: There is no such run.
    """
    # Imported here so that `diptych --help` and the messages about wrong arguments stay fast.
    from rich.console import Console

    from pipeline.lineage import comparison

    (name, before), (other_name, after) = (_run(arguments, text) for text in (arguments.before, arguments.after))
    comparison.show(comparison.compare(before, after), Console(), names=(name, other_name))
    return exit_status.OK


def _run(arguments: argparse.Namespace, text: str) -> tuple[str, dict]:
    """Returns the name of a run and its executions by stage."""
    # Imported here so that `diptych --help` and the messages about wrong arguments stay fast.
    from pipeline.commands import parsed_arguments as parsed
    from pipeline.lineage import finding

    if "/" in text or os.path.isdir(text):
        arguments = argparse.Namespace(**{**vars(arguments), "root": text, "preset": None})
        text = "last"
    root = parsed.root(arguments)
    store = parsed.store_with_runs(arguments, root=root)
    run = finding.run(text, root=root, store=store)
    return run.name, {execution.stage: execution for execution in store.executions(run=run)}
