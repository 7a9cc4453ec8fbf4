"""How scores are written."""

from components.text import plural
from pipeline.experiments.intervals import Summary
from pipeline.experiments.results import CellResult, Results


def score(summary: Summary | None, *, percent: bool = False) -> str:
    """Returns mean and deviation, e.g. "0.551 ± 0.012", or "55.1 ± 1.2 %"; "" without a score."""
    if summary is None:
        return ""
    spread = "" if summary.sd is None else f" ± {_value(summary.sd, percent=percent)}"
    return _value(summary.mean, percent=percent) + spread + _unit(percent)


def interval(summary: Summary | None, *, percent: bool = False) -> str:
    """Returns the 95 % interval, e.g. "0.521 to 0.581", or "52.1 to 58.1 %"; "" without one."""
    ends = _ends(summary, percent=percent)
    return ends and ends + _unit(percent)


def difference(summary: Summary | None, *, seeds: int, percent: bool = False) -> str:
    """Returns a difference with its 95 % interval; "" without one.

    For example, "+0.034 (+0.010 to +0.058)", or "+3.4 (+1.0 to +5.8) points".

    Args:
        summary: The differences, over the seeds that a cell and the reference both have.
        seeds: Number of seeds of the cell. If it has more than the reference, the text tells how many are compared.
        percent: Whether in points.
    """
    if summary is None:
        return ""
    compared = plural(summary.count, "seed") if summary.count < seeds else ""
    details = "; ".join(filter(None, (_ends(summary, percent=percent, signed=True), compared)))
    within = f" ({details})" if details else ""
    return _value(summary.mean, percent=percent, signed=True) + within + (" points" if percent else "")


def _ends(summary: Summary | None, *, percent: bool, signed: bool = False) -> str:
    """Returns the ends of the 95 % interval, e.g. "0.521 to 0.581"; "" without one."""
    if summary is None or summary.low is None or summary.high is None:
        return ""
    low, high = (_value(end, percent=percent, signed=signed) for end in (summary.low, summary.high))
    return f"{low} to {high}"


def _value(value: float, *, percent: bool, signed: bool = False) -> str:
    sign = "+" if signed else ""
    return f"{100 * value:{sign}.1f}" if percent else f"{value:{sign}.3f}"


def _unit(percent: bool) -> str:
    return " %" if percent else ""


def number(value: float | None, digits: int = 3) -> str:
    """Returns a number; "" without one."""
    return "" if value is None else f"{value:,.{digits}f}"


def heading(results: Results) -> str:
    """Returns what the scores are, e.g. "accuracy of a linear probe"."""
    return f"{results.metric} of the {results.probe} probe" if results.probe else results.metric


def unequal_machines(results: Results) -> str:
    """Returns a sentence on the kinds of machines if the same processor time is not the same work; "" if it is."""
    if len(results.machines) < 2:
        return ""
    kinds = "; ".join(f"{kind} ({', '.join(names)})" for kind, names in results.machines.items())
    return (
        "The cost of a step was measured on different machines, so cells with the same processor time have not had the "
        f"same compute: {kinds}."
    )


def cost(results: Results, result: CellResult) -> tuple[str, str, str]:
    """Returns steps, passes and minutes of processor time, each as the mean over the trainings of a cell.

    The minutes are the mean over those that were never stopped; "" if there are none.
    """
    steps = "" if result.steps is None else f"{round(result.steps):,}"
    return steps, number(results.passes(result), 1), number(result.cpu_minutes, 1)
