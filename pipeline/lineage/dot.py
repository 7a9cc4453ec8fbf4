"""Writes lineage in the language of Graphviz."""

import json
import textwrap
from collections.abc import Collection, Iterable

from pipeline.lineage import graph
from pipeline.lineage.graph import Lineage, Step
from pipeline.metadata.executions import Artifact

_LINE = 40
"""Characters in a line of a label."""


def text(lineage: Lineage, *, of: Collection[Artifact]) -> str:
    """Returns a graph whose boxes are executions and whose ellipses are artifacts.

    Args:
        lineage: What it shows.
        of: The artifacts that it is about, which are filled.
    """
    about = {artifact.id for artifact in of}
    lines = [
        "digraph lineage {",
        "  rankdir=LR;",
        '  node [fontname="Helvetica", fontsize=10];',
        '  edge [fontname="Helvetica", fontsize=9];',
        *(_artifact(artifact, is_filled=artifact.id in about) for artifact in lineage.artifacts()),
    ]
    for step in lineage.steps.values():
        lines += _step(step)
    return "\n".join([*lines, "}"]) + "\n"


def _artifact(artifact: Artifact, *, is_filled: bool) -> str:
    styles = [style for style, applies in (("filled", is_filled), ("dashed", artifact.is_removed)) if applies]
    attributes = f", style={_quoted(','.join(styles))}" if styles else ""
    label, tooltip = _quoted(graph.short_name(artifact)), _quoted(artifact.uri)
    return f"  a{artifact.id} [label={label}, tooltip={tooltip}{attributes}];"


def _step(step: Step) -> Iterable[str]:
    execution = step.execution
    lines = [f"{execution.stage} {execution.id}", *textwrap.wrap(execution.summary, _LINE)]
    label = _quoted("\n".join(lines))
    yield f"  e{execution.id} [shape=box, label={label}];"
    for channel, artifact in step.inputs.items():
        yield f"  a{artifact.id} -> e{execution.id} [label={_quoted(channel)}];"
    for channel, artifact in execution.outputs.items():
        yield f"  e{execution.id} -> a{artifact.id} [label={_quoted(channel)}];"


def _quoted(text: str) -> str:
    """Returns a text as a string of DOT, in which a backslash stands for itself if it is doubled."""
    return json.dumps(text, ensure_ascii=False)
