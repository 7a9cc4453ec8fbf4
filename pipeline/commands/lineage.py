"""`diptych lineage`: shows what an artifact was made from, and what was made of it."""

import argparse

from pipeline.commands import exit_status
from pipeline.commands import shared_arguments as shared

SUMMARY = "show what an artifact was made from, and what was made of it"

DESCRIPTION = """\
Shows as two trees what an artifact was made from, back to the audio, and what was made of it. Lines name the folder
below artifacts/, what its stage said of it, and when and how long the stage ran."""

EPILOG = """\
examples:
  diptych lineage runs/tiny/artifacts/Exporter/saved_model/5
  diptych lineage 5 --preset tiny
  diptych lineage Trainer/model/4 --preset tiny --dot | dot -Tsvg > lineage.svg"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the arguments of the command."""
    parser.add_argument(
        "artifact",
        metavar="ARTIFACT",
        help="path of a published folder, or of a pushed model; or the number at the end of the path, for all that "
        "this execution wrote",
    )
    parser.add_argument("--preset", metavar="NAME", help="look under runs/NAME; a path says its root by itself")
    shared.add_root(parser)
    parser.add_argument("--dot", action="store_true", help="print a graph for Graphviz instead")


def execute(arguments: argparse.Namespace) -> int:
    """Prints the lineage and returns the exit status.

    Raises:
        UserError: There is no such artifact.
    """
    # Imported here so that `diptych --help` and the messages about wrong arguments stay fast.
    from rich.console import Console

    from pipeline.commands import parsed_arguments as parsed
    from pipeline.lineage import dot, finding, graph, tree

    arguments.root = arguments.root or finding.root_of(arguments.artifact)
    root = parsed.root(arguments)
    store = parsed.store_with_runs(arguments, root=root)
    artifacts = finding.artifacts(arguments.artifact, root=root, store=store)
    made_from, made_of = graph.made_from(store, artifacts), graph.made_of(store, artifacts)
    if arguments.dot:
        whole = graph.Lineage([*made_from.steps.values(), *made_of.steps.values()])
        print(dot.text(whole, of=artifacts), end="")
        return exit_status.OK
    tree.show(artifacts, Console(), made_from=made_from, made_of=made_of)
    return exit_status.OK
