"""Draws the lineage of a run: a row for each stage, and curves from the writer of an artifact to its readers.

Pillow draws it in a few hundredths of a second, also at the end of a run that skips everything.
"""

import functools
import io
import itertools
from collections.abc import Iterable, Sequence

from PIL import Image, ImageDraw, ImageFont

from pipeline.console import report
from pipeline.console.durations import duration
from pipeline.event_file import Picture
from pipeline.lineage.graph import Lineage, Step
from pipeline.metadata.executions import Artifact

_SCALE = 2
"""Pixels in both directions that become one, so that curves have smooth edges."""

_ROW, _TOP, _NODE = 64, 16, 7
"""Height of a row, what is above the first one, and radius of the circle of a stage, in pixels of the picture."""

_REACH, _TEXT_WIDTH = 30, 760
"""How much further left a curve goes for each row that it passes, and the room for the text, in pixels."""

_MAX_REACH = 8
_MAX_TEXT = 112
"""Characters in a line."""

_INK, _FAINT, _PAPER = "#202124", "#5f6368", "#ffffff"
_COLORS = {"ran": "#188038", "skipped": "#1a73e8", "failed": "#d93025", "stopped": "#f29900", "running": "#202124"}
_UNUSED = "#bdc1c6"
_CURVES = ("#1a73e8", "#e8710a", "#9334e6", "#12a4af", "#d01884", "#7cb342", "#a0522d")


def draw(lineage: Lineage, *, stages: Sequence[str]) -> Picture:
    """Draws a run.

    Args:
        lineage: Its executions, see `graph.of_run`.
        stages: Names of all stages of the pipeline, in order.
    """
    steps = {step.execution.stage: step for step in lineage.steps.values()}
    rows = {stage: row for row, stage in enumerate(stages)}
    edges = _edges(steps, rows)
    left = 24 + _REACH * min(_MAX_REACH, max((reader - writer for writer, reader in edges), default=1))
    width, height = left + _TEXT_WIDTH, _TOP * 2 + _ROW * len(stages)
    colors = [_COLORS.get(_outcome(steps.get(stage)), _UNUSED) for stage in stages]
    image = Image.new("RGB", (width, height), _PAPER)
    image.paste(_curves(edges, colors, left=left, height=height))
    canvas = ImageDraw.Draw(image)
    for stage, row in rows.items():
        _write_stage(canvas, stage, steps.get(stage), row=row, left=left, lineage=lineage)
    file = io.BytesIO()
    image.save(file, "PNG")
    return Picture(png=file.getvalue(), width=width, height=height)


def _edges(steps: dict[str, Step], rows: dict[str, int]) -> list[tuple[int, int]]:
    """Returns the rows of writer and reader for each pair of stages with an artifact between them."""
    writers = {output.id: rows[stage] for stage, step in steps.items() for output in step.execution.outputs.values()}
    return sorted(
        {
            (writers[read.id], rows[stage])
            for stage, step in steps.items()
            for read in step.inputs.values()
            if read.id in writers and writers[read.id] < rows[stage]
        }
    )


def _outcome(step: Step | None) -> str:
    return report.OUTCOMES[step.execution.state] if step else "not run"


def _curves(edges: Iterable[tuple[int, int]], colors: Sequence[str], *, left: int, height: int) -> Image.Image:
    """Draws half an ellipse for each edge, from the row of the writer to that of the reader, and a circle for each row.

    Args:
        edges: Rows of writer and reader.
        colors: Color of each circle.
        left: Where the circles are.
        height: Height of the picture.
    """
    image = Image.new("RGB", ((left + _NODE + 1) * _SCALE, height * _SCALE), _PAPER)
    canvas = ImageDraw.Draw(image)
    for writer, reader in edges:
        reach = _REACH * min(reader - writer, _MAX_REACH)
        box = (left - reach, _middle(writer), left + reach, _middle(reader))
        color = _CURVES[writer % len(_CURVES)]
        canvas.arc([_SCALE * edge for edge in box], start=90, end=270, fill=color, width=2 * _SCALE)
    for row, color in enumerate(colors):
        middle = _middle(row)
        box = (left - _NODE, middle - _NODE, left + _NODE, middle + _NODE)
        canvas.ellipse([_SCALE * edge for edge in box], fill=color)
    return image.reduce(_SCALE)


def _write_stage(
    canvas: ImageDraw.ImageDraw, stage: str, step: Step | None, *, row: int, left: int, lineage: Lineage
) -> None:
    """Writes beside the circle of a stage what it did, what it read and what it wrote."""
    outcome = _outcome(step)
    took = f", {duration(step.execution.seconds)}" if step and outcome in report.TIMED_OUTCOMES else ""
    lines = [(f"{stage}: {outcome}{took}", 15, _INK)]
    if step:
        lines.append((step.execution.summary, 12, _INK))
        lines.append((_channels(step, lineage), 12, _FAINT))
    y = _middle(row) - (10 if len(lines) == 1 else 26)
    for text, size, ink in lines:
        shown = text if len(text) <= _MAX_TEXT else f"{text[: _MAX_TEXT - 3]}..."
        canvas.text((left + 20, y), shown, fill=ink, font=_font(size))
        y += size + 5


def _channels(step: Step, lineage: Lineage) -> str:
    """Says what a stage read and wrote, with the numbers of the folders."""
    read = [
        f"{channel} {_number(artifact)}{'' if lineage.writer(artifact) else ' of an earlier run'}"
        for channel, artifact in step.inputs.items()
    ]
    wrote = [f"{channel} {_number(artifact)}" for channel, artifact in step.execution.outputs.items()]
    parts = itertools.compress((f"reads {', '.join(read)}", f"writes {', '.join(wrote)}"), (read, wrote))
    return "; ".join(parts)


def _number(artifact: Artifact) -> str:
    return artifact.uri.rpartition("/")[2]


def _middle(row: int) -> int:
    """Returns the height of the circle of a row."""
    return _TOP + _ROW * row + _ROW // 2


@functools.cache
def _font(size: int) -> ImageFont.FreeTypeFont | ImageFont.ImageFont:
    return ImageFont.load_default(size)
