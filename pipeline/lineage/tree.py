"""Draws lineage as trees on the terminal."""

import io
import time
from collections.abc import Callable, Sequence

from rich.console import Console
from rich.text import Text
from rich.tree import Tree

from pipeline.console import report
from pipeline.console.durations import duration
from pipeline.lineage import graph
from pipeline.lineage.graph import Lineage
from pipeline.metadata.executions import Artifact, Execution

_Children = Callable[[Artifact], Sequence[tuple[Artifact, Execution | None]]]
"""Returns what stands below an artifact: artifacts, and the executions that wrote them if they are known."""


def show(artifacts: Sequence[Artifact], console: Console, *, made_from: Lineage, made_of: Lineage) -> None:
    """Prints what one execution wrote, the tree of what it was made from, and the trees of what was made of it."""
    for artifact in artifacts:
        writer = made_from.writer(artifact)
        _print(_label(artifact, writer.execution if writer else None), console)
    _show_tree("made from", artifacts[0], console, children=lambda one: _sources(one, made_from))
    for artifact in artifacts:
        title = f"{graph.short_name(artifact)} went into" if len(artifacts) > 1 else "went into"
        _show_tree(title, artifact, console, children=lambda one: _results(one, made_of))


def _show_tree(title: str, artifact: Artifact, console: Console, *, children: _Children) -> None:
    tree = Tree(Text(f"{title}:", style="dim"))
    _grow(tree, artifact, children=children, shown=set())
    if not tree.children:
        tree.add(Text("nothing that is recorded", style="dim"))
    _print(tree, console)


def _grow(tree: Tree, artifact: Artifact, *, children: _Children, shown: set[int | None]) -> None:
    """Adds what belongs below an artifact. What has been shown before is not unfolded again."""
    for child, writer in children(artifact):
        if child.id in shown:
            tree.add(Text.assemble((graph.short_name(child), "bold"), ("  see above", "dim")))
            continue
        shown.add(child.id)
        _grow(tree.add(_label(child, writer)), child, children=children, shown=shown)


def _sources(artifact: Artifact, lineage: Lineage) -> list[tuple[Artifact, Execution | None]]:
    step = lineage.writer(artifact)
    if step is None:
        return []
    writers = {read.id: lineage.writer(read) for read in step.inputs.values()}
    return [(read, writer.execution if (writer := writers[read.id]) else None) for read in step.inputs.values()]


def _results(artifact: Artifact, lineage: Lineage) -> list[tuple[Artifact, Execution | None]]:
    return [
        (output, step.execution) for step in lineage.readers(artifact) for output in step.execution.outputs.values()
    ]


def _label(artifact: Artifact, writer: Execution | None) -> Text:
    """Returns an artifact in a line: its name, when and how long its stage ran, and what the stage said."""
    parts = [(graph.short_name(artifact), "bold")]
    if artifact.is_removed:
        parts.append(("  removed by diptych gc", "yellow"))
    if writer is not None:
        started = time.strftime("%Y-%m-%d %H:%M", time.localtime(writer.started_ms / 1000))
        parts += [(f"  {started}, {duration(writer.seconds)}", "dim"), (f"  {writer.summary}", "")]
    return Text.assemble(*parts)


def _print(shown: Text | Tree, console: Console) -> None:
    """Prints to a terminal in lines that fit, and to anything else, such as `grep`, a line for each artifact."""
    if console.is_terminal:
        console.print(shown)
        return
    lines = io.StringIO()
    Console(file=lines, width=report.WIDE).print(shown)
    for line in lines.getvalue().splitlines():
        console.print(line.rstrip(), markup=False, highlight=False, soft_wrap=True)
