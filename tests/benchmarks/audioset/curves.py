"""Draws the result of `tests.benchmarks.audioset` over the number of clips."""

from matplotlib import colormaps
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from tests.benchmarks.audioset import rows

_INK, _GRID = "#333333", "#dddddd"
_PANELS = {
    "seconds of a core": rows.cpu_s,
    "added memory, MiB": rows.grown_mib,
    "calls": rows.calls,
    "bytes": rows.transferred,
}
_SMALLEST = {"seconds of a core": 0.01, "added memory, MiB": 1, "calls": 1, "bytes": 1e3}
"""What is drawn for less, because a logarithm has no zero."""


def draw(result: dict) -> Figure:
    """Draws a panel for each figure. Filled marks are measured, empty ones lie on the line through measured ones."""
    figure = Figure(figsize=(11, 10), dpi=130, layout="constrained")
    for axes, title in zip(figure.subplots(2, 2).flat, _PANELS, strict=True):
        _panel(axes, result["parts"], title)
    handles, labels = figure.axes[0].get_legend_handles_labels()
    legend = figure.legend(handles, labels, loc="outside lower center", ncols=3, fontsize=8, frameon=False)
    for text in legend.get_texts():
        text.set_color(_INK)
    return figure


def _panel(axes: Axes, parts: dict, title: str) -> None:
    colors = colormaps["tab20"].colors
    for color, (name, label) in zip(colors, rows.PARTS.items(), strict=True):
        if name not in parts:
            continue
        found = [rows.figure(name, parts[name], size, _PANELS[title]) for size in rows.SIZES]
        values = [max(_SMALLEST[title], value) for value, _ in found]
        style = "--" if name.endswith(", bucket") else "-"
        axes.plot(rows.SIZES, values, style, color=color, linewidth=1.2, label=label)
        for size, value, (_, is_measured) in zip(rows.SIZES, values, found, strict=True):
            face = color if is_measured else "white"
            axes.plot(size, value, "o", markersize=5, markerfacecolor=face, markeredgecolor=color)
    axes.set(xscale="log", yscale="log")
    axes.set_title(title, fontsize=10, color=_INK)
    axes.set_xlabel("clips", fontsize=8, color=_INK)
    axes.tick_params(labelsize=8, colors=_INK)
    axes.grid(color=_GRID, linewidth=0.5)
    axes.spines[["top", "right"]].set_visible(False)
