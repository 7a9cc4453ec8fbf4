"""Draws accuracy over processor time: of trainings on processors, and of longer ones on an accelerator."""

import itertools
import statistics
from collections import defaultdict
from collections.abc import Sequence

from matplotlib.axes import Axes
from matplotlib.figure import Figure

_INK = "#333333"
_CELLS = {
    "waveform+log_mel": ("waveform and log-mel", "#2a6f97"),
    "log_mel-wide": ("log-mel alone, as many features", "#c8553d"),
    "log_mel": ("log-mel alone, half the features", "#bbbbbb"),
}


def draw(curve: dict, experiments: Sequence[dict]) -> Figure:
    """Draws the linear probe's accuracy over the processor time, with a point for each seed.

    Args:
        curve: The result file of `score`.
        experiments: Result files of `diptych ablate figure2` with budgets of cpu-minutes.
    """
    figure = Figure(figsize=(8, 3.6), dpi=150, layout="constrained")
    panels = figure.subplots(1, 2, sharey=True)
    measured: defaultdict[str, dict[float, list[float]]] = defaultdict(dict)
    for experiment in experiments:
        minutes = float(experiment["budget"].removeprefix("cpu-minutes="))
        for cell in experiment["cells"]:
            measured[cell["name"]][minutes] = [run["scores"]["both"] for run in cell["runs"]]
    _panel(panels[0], measured, title="on processors")
    on_accelerator: defaultdict[str, dict[float, list[float]]] = defaultdict(dict)
    for cell in curve["cells"]:
        on_accelerator[cell["name"]][cell["minutes"]] = cell["linear_of_seeds"]
    _panel(panels[1], on_accelerator, title="as many steps, on an accelerator")
    panels[0].set_ylabel("accuracy on ESC-50, %", fontsize=8, color=_INK)
    panels[0].legend(fontsize=7, frameon=False, loc="upper left")
    return figure


def _panel(axes: Axes, scores: dict[str, dict[float, list[float]]], *, title: str) -> None:
    """Draws a line for each cell, through its means over the seeds, and a point for each seed.

    A line to a single seed is dotted, because another seed may be some points away.

    Args:
        axes: Where to draw.
        scores: Name of the cell -> minutes -> accuracies of the seeds.
        title: Of the panel.
    """
    for name, (label, color) in _CELLS.items():
        of_cell = dict(sorted(scores.get(name, {}).items()))
        if not of_cell:
            continue
        means = [(minutes, 100 * statistics.fmean(values)) for minutes, values in of_cell.items()]
        axes.plot([], [], color=color, label=label, linewidth=1.5)
        for start, end in itertools.pairwise(means):
            is_single = len(of_cell[start[0]]) == 1 or len(of_cell[end[0]]) == 1
            style = ":" if is_single else "-"
            axes.plot(*zip(start, end, strict=True), style, color=color, linewidth=1.5)
        points = [(minutes, 100 * value) for minutes, values in of_cell.items() for value in values]
        axes.scatter(*zip(*points, strict=True), color=color, s=9, zorder=3)
    axes.set_xscale("log", base=2)
    ticks = sorted({minutes for of_cell in scores.values() for minutes in of_cell})
    axes.set_xticks(ticks, labels=[f"{tick:g}" for tick in ticks])
    axes.set_xlabel("minutes of processor time", fontsize=8, color=_INK)
    axes.set_title(title, fontsize=9, color=_INK)
    axes.tick_params(labelsize=7, colors=_INK)
    axes.spines[["top", "right"]].set_visible(False)
