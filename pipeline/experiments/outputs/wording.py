"""How scores are written."""

from pipeline.experiments.intervals import Summary
from pipeline.experiments.results import CellResult, Results


def score(summary: Summary | None) -> str:
    """Returns mean and deviation, e.g. "0.551 ± 0.012"; "" without a score."""
    if summary is None:
        return ""
    return f"{summary.mean:.3f}" if summary.sd is None else f"{summary.mean:.3f} ± {summary.sd:.3f}"


def interval(summary: Summary | None, *, signed: bool = False) -> str:
    """Returns the 95 % interval, e.g. "0.521 to 0.581"; "" without one."""
    if summary is None or summary.low is None or summary.high is None:
        return ""
    sign = "+" if signed else ""
    return f"{summary.low:{sign}.3f} to {summary.high:{sign}.3f}"


def difference(summary: Summary | None) -> str:
    """Returns a difference with its 95 % interval, e.g. "+0.034 (+0.010 to +0.058)"; "" without one."""
    if summary is None:
        return ""
    within = interval(summary, signed=True)
    return f"{summary.mean:+.3f}" + (f" ({within})" if within else "")


def number(value: float | None, digits: int = 3) -> str:
    """Returns a number; "" without one."""
    return "" if value is None else f"{value:,.{digits}f}"


def heading(results: Results) -> str:
    """Returns what the scores are, e.g. "accuracy of a linear probe"."""
    return f"{results.metric} of the {results.probe} probe" if results.probe else results.metric


def cost(results: Results, result: CellResult) -> tuple[str, str, str]:
    """Returns steps, passes and minutes of processor time of a training of a cell."""
    steps = "" if result.steps is None else f"{result.steps:,}"
    return steps, number(results.passes(result), 1), number(result.cpu_minutes, 1)
