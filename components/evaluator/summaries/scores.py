"""The scores of all sets of features, as bars and as a table."""

from collections.abc import Callable

import numpy as np

from components import markdown, tensorboard
from components.evaluator.features import UNTRAINED
from components.evaluator.probes.others import Column
from components.evaluator.report import Report


def bars(report: Report) -> np.ndarray:
    """Draws a bar for each set of features, with its 95 % interval where there is one: uint8 (1, height, width, 4)."""
    names = list(report.scores)
    fig = tensorboard.figure(width=8.0, height=0.8 + 0.45 * len(names))
    axes = fig.add_subplot()
    places = np.arange(len(names))
    axes.barh(places, list(report.scores.values()), color=[_color(name, report) for name in names])
    right = dict(report.scores)
    for place, name in zip(places, names, strict=True):
        if name in report.intervals:
            low, high = report.intervals[name]
            axes.plot([low, high], [place, place], color="black", linewidth=1.5, marker="|")
            right[name] = max(right[name], high)
        axes.text(right[name] + 0.02, place, f"{report.scores[name]:.3f}", verticalalignment="center")
    axes.set_yticks(places, names, parse_math=False)
    axes.invert_yaxis()
    axes.set(xlim=(0, 1.12), xlabel=f"{report.metric}, with its 95 % interval over resampled test recordings")
    return tensorboard.figure_image(fig)


def table(report: Report) -> str:
    """Returns a Markdown table with a row for each set of features, and a column for whatever was measured."""
    columns: dict[str, Callable[[str], str]] = {
        f"{report.probe} probe, {report.metric}": lambda name: f"{report.scores[name]:.4f}",
        "95 % interval": lambda name: _interval(report.intervals.get(name)),
        "difference from the baseline": lambda name: _difference(report, name),
        "10-NN": lambda name: _column(report.knn.get(name)),
        "8-shot linear": lambda name: _column(report.few_shot.get(name)),
        "retrieval mAP": lambda name: _column(report.retrieval.get(name)),
    }
    shown = {title: cell for title, cell in columns.items() if any(cell(name) for name in report.scores)}
    rows = [(markdown.escaped(name), *(cell(name) for cell in shown.values())) for name in report.scores]
    parts = [markdown.table(("features", *shown), rows)]
    baselines = sorted({comparison.baseline for comparison in report.comparison.values()})
    if baselines:
        parts.append(f"The baseline is {markdown.escaped(', '.join(baselines))}.")
    if report.note:
        parts.append(markdown.escaped(f"Note: {report.note}"))
    return "\n\n".join(parts)


def _interval(interval: tuple[float, float] | None) -> str:
    return "" if interval is None else f"{interval[0]:.3f} to {interval[1]:.3f}"


def _difference(report: Report, name: str) -> str:
    comparison = report.comparison.get(name)
    if comparison is None or comparison.baseline == name:
        return ""
    return f"{comparison.difference:+.3f} ({_interval(comparison.interval)})"


def _column(column: Column | None) -> str:
    return "" if column is None else f"{column.score:.3f}"


def _color(name: str, report: Report) -> str:
    if name.startswith(UNTRAINED):
        return "tab:grey"
    encoders = {other.removeprefix(UNTRAINED) for other in report.scores if other.startswith(UNTRAINED)}
    return "tab:blue" if name in encoders or not encoders else "tab:olive"
