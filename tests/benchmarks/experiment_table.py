"""Renders the results of an experiment as Markdown."""

from tests.benchmarks.tables import paragraph, table, where

_FEATURES = {"waveform": "waveform", "log_mel": "log-mel", "both": "both"}


def render(result: dict) -> str:
    """Renders a row for each cell and set of features, the command that gave them, and where it ran."""
    reference = result["reference"] if any(cell["against_reference"] for cell in result["cells"]) else None
    header = ["cell", "features", f"trained, {result['metric']}", "95 % interval", "untrained"]
    header += [f"against {reference}"] if reference else []
    header += ["seeds", "steps", "passes"]
    rows = [
        row for cell in result["cells"] for row in _rows(cell, metric=result["metric"], has_reference=bool(reference))
    ]
    spread = "one seed"
    if _seeds(result) > 1:
        spread = "mean ± standard deviation over the seeds, and Student's interval of the mean"
    note = (
        f"`{command(result)}`: {result['budget'].replace('=', ' = ')} for each training, {result['training_clips']:,} "
        f"clips of {result['corpus']} to train on, {result['probe']} probe; {spread}. Measured on {where(result)}"
    )
    return table(header, rows) + "\n" + paragraph(note)


def command(result: dict) -> str:
    """Returns the command that measures the experiment again."""
    parts = ["diptych ablate", result["experiment"], f"--preset {result['preset']}"]
    parts += [] if result["preset"] == "quickstart" else [f"--data {result['corpus']}"]
    parts += ["--only", *result["only"]] if result["only"] else []
    return " ".join([*parts, f"--seeds {_seeds(result)}", f"--budget {result['budget']}", *result["overrides"]])


def _seeds(result: dict) -> int:
    return max(len(cell["runs"]) for cell in result["cells"])


def _rows(cell: dict, *, metric: str, has_reference: bool) -> list[list[str]]:
    rows = []
    for features, scores in cell["scores"].items():
        is_first, is_whole = not rows, len(rows) == len(cell["scores"]) - 1
        trained, untrained = scores["trained"], scores["untrained"]
        row = [cell["name"] if is_first else "", _FEATURES.get(features, features)]
        row += [_score(trained, metric), _interval(trained, metric), _score(untrained, metric)]
        if has_reference:
            row.append(_difference(cell["against_reference"], metric) if is_whole else "")
        costs = [str(trained["count"]), f"{cell['steps']:,}", f"{cell['passes']:.1f}"]
        rows.append([*row, *(costs if is_first else [""] * len(costs))])
    return rows


def _number(value: float, metric: str) -> str:
    return f"{100 * value:.1f}" if metric == "accuracy" else f"{value:.3f}"


def _unit(metric: str) -> str:
    return " %" if metric == "accuracy" else ""


def _score(summary: dict, metric: str) -> str:
    spread = "" if summary["sd"] is None else f" ± {_number(summary['sd'], metric)}"
    return _number(summary["mean"], metric) + spread + _unit(metric)


def _interval(summary: dict, metric: str) -> str:
    if summary["low"] is None:
        return ""
    return f"{_number(summary['low'], metric)} to {_number(summary['high'], metric)}{_unit(metric)}"


def _difference(summary: dict | None, metric: str) -> str:
    if summary is None:
        return ""
    sign = "+" if summary["mean"] >= 0 else "-"  # 0.0 of the reference itself has none.
    difference = sign + _number(abs(summary["mean"]), metric)
    return difference if summary["low"] is None else f"{difference} ({_interval(summary, metric)})"
