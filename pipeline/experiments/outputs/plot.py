"""Draws the results: a panel for each part of the table."""

import dataclasses
import io
import pathlib
import textwrap
from collections.abc import Sequence
from typing import Literal

import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from components.text import plural
from pipeline.experiments.experiment import Place
from pipeline.experiments.intervals import Summary
from pipeline.experiments.outputs import tables, wording
from pipeline.experiments.results import Results

_INK, _OURS, _UNTRAINED, _PAPER = "#333333", "#2a6f97", "#a9d6e5", "#d1495b"
_INTERVAL = "95 % interval"
_PANEL_WIDTH, _PANELS_PER_ROW = 6.0, 2


@dataclasses.dataclass(frozen=True, kw_only=True)
class _Part:
    """A part of the table that gets a panel.

    Attributes:
        places: The places that are drawn.
        whole: All places of the part. What varies among them is what tells a place from others.
    """

    places: Sequence[Place]
    whole: Sequence[Place]

    @property
    def form(self) -> Literal["bars", "line", "map"]:
        """How it is drawn."""
        rows, columns = tables.rows_and_columns(self.places)
        if len(rows) > 1 and len(columns) > 1:
            return "map"
        all_rows, _ = tables.rows_and_columns(self.whole)
        return "bars" if len(columns) == 1 or len(all_rows) > 1 else "line"

    @property
    def labels(self) -> list[str]:
        """What bars and points are called."""
        rows, columns = tables.rows_and_columns(self.whole)
        if len(columns) == 1:
            return [place.row for place in self.places]
        if len(rows) == 1:
            return [place.column for place in self.places]
        return [f"{place.row} x {place.column}" for place in self.places]


def draw(results: Results) -> bytes:
    """Returns `figure` as PNG."""
    file = io.BytesIO()
    FigureCanvasAgg(figure(results)).print_png(file)
    return file.getvalue()


def figure(results: Results) -> Figure:
    """Returns the plot.

    A part with one column is drawn as bars and one with one row as a line, both with 95 % intervals over the seeds. One
    with several rows and columns is a map, with standard deviations and, in brackets, the paper's numbers; where only
    one row or column of it has run, it is bars. Bars show the paper's numbers if these are of the same metric.
    """
    shown = [place for place in results.layout.places if place.paper is not None or results.summary(place)]
    whole = tables.blocks(results.layout.places)
    blocks = tables.blocks(shown or results.layout.places)
    parts = {title: _comparable(_Part(places=places, whole=whole[title]), results) for title, places in blocks.items()}
    columns = min(_PANELS_PER_ROW, len(parts))
    heights = [_height(part) for part in parts.values()]
    lines = [max(heights[first : first + columns]) for first in range(0, len(heights), columns)]
    drawn = Figure(figsize=(_PANEL_WIDTH * max(columns, 1.4), sum(lines) + 0.6), dpi=120, layout="constrained")
    panels = drawn.subplots(len(lines), columns, squeeze=False, height_ratios=lines).ravel()
    drawings = {"bars": _bars, "line": _line, "map": _map}
    for axes, (title, part) in zip(panels, parts.items(), strict=False):
        drawings[part.form](axes, part, results)
        axes.set_title(title, fontsize=9, color=_INK)
        axes.tick_params(labelsize=8, colors=_INK)
    for axes in panels[len(parts) :]:
        axes.remove()
    drawn.suptitle(f"{results.experiment.heading}\n{_settings(results)}", fontsize=10, color=_INK)
    return drawn


def _settings(results: Results) -> str:
    """Returns what the scores are and what all cells share, e.g. "accuracy ...; preset tiny, ESC-50, 3 seeds"."""
    settings = results.settings
    parts = [f"preset {settings['preset']}", pathlib.PurePath(settings["data"]).name, f"{settings['budget']} each"]
    parts += [plural(settings["seeds"], "seed"), *settings["overrides"]]
    return textwrap.fill(f"{wording.heading(results)}; {', '.join(parts)}", 110)


def _comparable(part: _Part, results: Results) -> _Part:
    """Returns a part as it is drawn. From bars it leaves out the paper's numbers if they are of another metric.

    On one axis, the paper's mAP would be read as an accuracy. Of rows that only the paper has, nothing would be left.
    """
    if part.form != "bars" or results.metric == results.experiment.paper_metric:
        return part
    ours = [dataclasses.replace(place, paper=None) for place in part.places]
    return dataclasses.replace(part, places=[place for place in ours if results.summary(place)] or ours)


def _height(part: _Part) -> float:
    if part.form == "bars":
        return 0.6 + 0.34 * len(part.places)
    rows, _ = tables.rows_and_columns(part.places)
    return max(2.6, 0.6 * len(rows) + 1.0)


def _error(summaries: Sequence[Summary | None]) -> np.ndarray:
    """Returns how far the intervals reach below and above the means, (2, n), NaN where there is none."""
    reach = [
        (np.nan, np.nan) if one is None or one.low is None or one.high is None else (one.mean - one.low,) * 2
        for one in summaries
    ]
    return np.array(reach, float).reshape(-1, 2).T


def _means(summaries: Sequence[Summary | None]) -> np.ndarray:
    return np.array([np.nan if one is None else one.mean for one in summaries], float)


def _untrained(results: Results, places: Sequence[Place]) -> np.ndarray:
    return _means(
        [tables.untrained(results.cells[place.cell], place.features) if place.cell else None for place in places]
    )


def _paper(places: Sequence[Place]) -> np.ndarray:
    return np.array([np.nan if place.paper is None else place.paper for place in places], float)


def _bars(axes: Axes, part: _Part, results: Results) -> None:
    places = part.places
    summaries = [results.summary(place) for place in places]
    at = np.arange(len(places))
    axes.barh(at, np.nan_to_num(_means(summaries)), color=_OURS, height=0.62, label="trained")
    error = _error(summaries)
    if np.isfinite(error).any():
        axes.errorbar(_means(summaries), at, xerr=error, fmt="none", ecolor=_INK, capsize=3, label=_INTERVAL)
    axes.plot(_untrained(results, places), at, "|", color=_UNTRAINED, ms=13, mew=3, label="untrained")
    if np.isfinite(_paper(places)).any():
        axes.plot(_paper(places), at, "D", color=_PAPER, ms=4, label="paper")
    axes.set_yticks(at, part.labels, parse_math=False)
    axes.invert_yaxis()
    axes.set_xlim(0, 1)
    axes.set_xlabel(results.metric, fontsize=8)
    axes.spines[["top", "right"]].set_visible(False)
    axes.legend(fontsize=7, frameon=False, loc="upper left", bbox_to_anchor=(1.0, 1.0))


def _line(axes: Axes, part: _Part, results: Results) -> None:
    places = part.places
    summaries = [results.summary(place) for place in places]
    at = np.arange(len(places))
    error = _error(summaries)
    label = f"trained, {_INTERVAL}" if np.isfinite(error).any() else "trained"
    axes.errorbar(at, _means(summaries), yerr=error, fmt="o-", color=_OURS, capsize=3, label=label)
    axes.plot(at, _untrained(results, places), "_", color=_UNTRAINED, ms=14, mew=3, label="untrained")
    axes.legend(fontsize=7, framealpha=0.5)
    axes.set_xticks(at, part.labels)
    axes.set_ylabel(results.metric, fontsize=8, color=_OURS)
    axes.margins(y=0.15)
    axes.spines["top"].set_visible(False)
    if np.isfinite(_paper(places)).any():  # Scores of other data: only the shapes can be compared.
        other = axes.twinx()
        other.plot(at, _paper(places), "D--", color=_PAPER, ms=4, lw=1)
        other.set_ylabel("paper", fontsize=8, color=_PAPER)
        other.tick_params(labelsize=8, colors=_PAPER)
        other.margins(y=0.15)
        other.spines["top"].set_visible(False)


def _map(axes: Axes, part: _Part, results: Results) -> None:
    rows, columns = tables.rows_and_columns(part.places)
    values, texts = np.full((len(rows), len(columns)), np.nan), {}
    for place in part.places:
        summary, where = results.summary(place), (rows.index(place.row), columns.index(place.column))
        values[where] = np.nan if summary is None else summary.mean
        texts[where] = wording.score(summary).replace(" ± ", "\n± ")
        if place.paper is not None:
            texts[where] += f"\n({place.paper:.3f})"
    axes.imshow(np.ma.masked_invalid(values), cmap="YlGnBu", aspect="auto", alpha=0.5)
    for (row, column), text in texts.items():
        axes.text(column, row, text, ha="center", va="center", fontsize=7, color=_INK)
    axes.set_xticks(range(len(columns)), columns, rotation=15)
    axes.set_yticks(range(len(rows)), rows)
