"""Draws the plots of the page as SVG."""

import io
import math
import warnings
from collections.abc import Sequence

import matplotlib
import numpy as np
from matplotlib.backends.backend_svg import FigureCanvasSVG
from matplotlib.figure import Figure

from pipeline.evaluation.report.content import ScoreRow
from pipeline.evaluation.robustness.curves import Curve, Curves

_MODEL, _OTHER, _LINE = "#3565b5", "#a8b3c4", "#c2571a"
_MOST_NAMED_CLASSES = 60
_SETTINGS = {
    "svg.fonttype": "none",  # Text stays text, which is small and can be searched.
    "svg.hashsalt": "diptych",  # The same figure gives the same file.
    "font.family": "sans-serif",
    "font.size": 9,
    "axes.spines.top": False,
    "axes.spines.right": False,
}


def scores(rows: Sequence[ScoreRow], *, metric: str) -> str:
    """Draws a bar with its interval for each set of features."""
    with matplotlib.rc_context(_SETTINGS):
        figure = Figure(figsize=(8.0, 0.6 + 0.28 * len(rows)), layout="constrained")
        axes = figure.add_subplot()
        places = np.arange(len(rows))[::-1]
        values = [row.score for row in rows]
        axes.barh(places, values, color=[_MODEL if row.is_model else _OTHER for row in rows], height=0.7)
        for place, row in zip(places, rows, strict=True):
            if row.low is not None and row.high is not None:
                axes.plot([row.low, row.high], [place, place], color="black", linewidth=1.2)
        axes.set_yticks(places, [row.name for row in rows], parse_math=False)
        axes.set(xlim=(0, 1), xlabel=f"{metric}, with its 95 % interval")
        return _svg(figure)


def confusion(shares: np.ndarray, names: Sequence[str]) -> str:
    """Draws the confusion matrix."""
    with matplotlib.rc_context(_SETTINGS):
        size = min(11.0, 2.6 + 0.16 * len(names))
        figure = Figure(figsize=(size + 0.8, size), layout="constrained")
        axes = figure.add_subplot()
        picture = axes.imshow(np.sqrt(shares), cmap="Blues", vmin=0, vmax=1, interpolation="nearest")
        if len(names) <= _MOST_NAMED_CLASSES:
            font = 8 if len(names) <= 30 else 6
            axes.set_xticks(range(len(names)), names, rotation=90, fontsize=font, parse_math=False)
            axes.set_yticks(range(len(names)), names, fontsize=font, parse_math=False)
        if len(names) <= 20:
            for row, column in zip(*np.nonzero(shares >= 0.005), strict=True):
                share = shares[row, column]
                color = "white" if share > 0.3 else "black"
                axes.text(column, row, f"{100 * share:.0f}", ha="center", va="center", fontsize=7, color=color)
        ticks = [0.0, 0.1, 0.25, 0.5, 1.0]
        bar = figure.colorbar(picture, ax=axes, shrink=0.5, ticks=np.sqrt(ticks))
        bar.set_ticklabels([f"{100 * tick:g} %" for tick in ticks])
        axes.set(xlabel="taken for", ylabel="class")
        return _svg(figure)


def robustness(curves: Curves) -> str:
    """Draws a panel for each kind of perturbation: the cosine to the clean vector, and the score."""
    columns = 3
    rows = math.ceil(len(curves.curves) / columns)
    with matplotlib.rc_context({**_SETTINGS, "axes.spines.right": True}):
        figure = Figure(figsize=(10.0, 2.5 * rows), layout="constrained")
        for number, curve in enumerate(curves.curves.values()):
            _panel(figure.add_subplot(rows, columns, number + 1), curve, curves)
        return _svg(figure)


def _panel(axes: matplotlib.axes.Axes, curve: Curve, curves: Curves) -> None:
    places = range(len(curve.levels))
    axes.plot(places, curve.cosines, marker="o", markersize=3, color=_MODEL, label="cosine")
    axes.fill_between(places, curve.low_cosines, curve.cosines, color=_MODEL, alpha=0.15, linewidth=0)
    if curves.clean_score is not None:
        axes.plot(places, curve.scores, marker="s", markersize=3, color=_LINE, label=curves.metric)
        axes.axhline(curves.clean_score, color=_LINE, linewidth=0.8, linestyle=":")
    axes.set_xticks(places, [f"{level:g}" for level in curve.levels])
    lowest = min(0.0, *curve.low_cosines)
    axes.set(title=curve.title, xlabel=curve.unit, ylim=(lowest - 0.02, 1.02))
    axes.legend(fontsize=7, loc="lower left", frameon=False)


def _svg(figure: Figure) -> str:
    """Returns a figure as an SVG element."""
    file = io.StringIO()
    with warnings.catch_warnings():
        # The browser has glyphs that matplotlib's font lacks, e.g. of Chinese names of classes.
        warnings.filterwarnings("ignore", r"Glyph \d+ .* missing from font", UserWarning)
        FigureCanvasSVG(figure).print_svg(file, metadata=dict.fromkeys(("Creator", "Date", "Format", "Type")))
    text = file.getvalue()
    return text[text.index("<svg") :]
