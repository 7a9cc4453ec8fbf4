"""Renders the results of an experiment as Markdown."""

from collections.abc import Mapping

from pipeline.experiments import catalog
from pipeline.experiments.intervals import Summary
from pipeline.experiments.outputs import wording
from tests.benchmarks.tables import paragraph, table, where

_FEATURES = {"waveform": "waveform", "log_mel": "log-mel", "both": "both"}


def render(result: dict) -> str:
    """Renders a row for each cell and set of features, the command that gave them, and where it ran."""
    reference = result["reference"] if any(cell["against_reference"] for cell in result["cells"]) else None
    header = ["cell", "features", f"trained, {result['metric']}", "95 % interval", "untrained"]
    header += [f"against {reference}"] if reference else []
    header += ["seeds", "steps", "passes", "CPU min"]
    rows = [
        row
        for cell in result["cells"]
        for row in _rows(cell, percent=result["metric"] == "accuracy", has_reference=bool(reference))
    ]
    return table(header, rows) + "\n" + _note(result)


def render_beside_paper(result: dict) -> str:
    """Renders the paper's table, which has one column, with the scores beside the paper's, and what `render` says."""
    percent, cells = result["metric"] == "accuracy", {cell["name"]: cell for cell in result["cells"]}
    rows = []
    for place in result["places"]:
        cell = cells.get(place["cell"])
        trained = None if cell is None else _summary(cell["scores"][place["features"]]["trained"])
        paper = None if place["paper"] is None else Summary(mean=place["paper"], sd=None, low=None, high=None, count=1)
        scores = [wording.score(trained, percent=percent), wording.interval(trained, percent=percent)]
        rows.append([place["row"], *scores, wording.score(paper, percent=percent)])
    header = [f"training → evaluation, {result['metric']}", "here", "95 % interval", "paper"]
    return table(header, rows) + "\n" + _note(result)


def render_grid(result: dict) -> str:
    """Renders the paper's tables of several columns: trained, untrained and the paper's number, below one another.

    Tables of which fewer than two cells have finished are left out, as they compare nothing, and named below.
    """
    cells = {cell["name"]: cell for cell in result["cells"]}
    blocks: dict[str, list[dict]] = {place["block"]: [] for place in result["places"]}
    for place in result["places"]:
        if place["cell"] in cells:
            blocks[place["block"]].append(place)
    parts = [_grid(result, places, cells=cells) for places in blocks.values() if len(places) > 1]
    left_out = [block for block, places in blocks.items() if len(places) < 2]
    if left_out:
        parts.append(paragraph(f"Left out, as fewer than two of their cells have finished: {', '.join(left_out)}."))
    return "\n".join([*parts, _note(result)])


def _grid(result: dict, places: list[dict], *, cells: Mapping[str, dict]) -> str:
    metric = catalog.find(result["experiment"]).paper_metric
    percent, at = result["metric"] == "accuracy", {(place["row"], place["column"]): place for place in places}
    rows, columns = (list(dict.fromkeys(place[name] for place in places)) for name in ("row", "column"))
    lines = []
    for row in rows:
        found = [at.get((row, column)) for column in columns]
        scores = [cells[place["cell"]]["scores"][place["features"]] if place else {} for place in found]
        name = "" if row == "score" else f"{row}, "
        for state in ("trained", "untrained"):
            values = [wording.score(_summary(one.get(state)), percent=percent) for one in scores]
            lines.append([f"{name}{state}", *values])
        if row == "score":
            lines.append(["steps", *(f"{round(cells[place['cell']]['steps']):,}" for place in found)])
        paper = [place["paper"] if place else None for place in found]
        if any(number is not None for number in paper):
            lines.append([f"{name}the paper's {metric}", *map(wording.number, paper)])
    return table([places[0]["block"], *columns], lines)


def _note(result: dict) -> str:
    spread = "one seed"
    if _seeds(result) > 1:
        spread = "mean ± standard deviation over the seeds, and Student's interval of the mean"
        if min(len(cell["runs"]) for cell in result["cells"]) < _seeds(result):
            spread += "; cells with fewer seeds ran with a smaller `--seeds`"
            if result["reference"]:
                spread += ", and are compared with the same seeds of the reference"
    return paragraph(
        f"`{command(result)}`: {result['budget'].replace('=', ' = ')} for each training, {result['training_clips']:,} "
        f"clips of {result['corpus']} to train on, {result['probe']} probe; {spread}. Measured on {where(result)}"
    )


def difference(summary: Summary, *, seeds: int, percent: bool) -> str:
    """Returns what `wording.difference` does, without the unit, which the text below a table names."""
    return wording.difference(summary, seeds=seeds, percent=percent).removesuffix(" points")


def command(result: dict) -> str:
    """Returns the command that measures the experiment again."""
    parts = ["diptych ablate", result["experiment"], f"--preset {result['preset']}"]
    parts += [] if result["preset"] == "quickstart" else [f"--data {result['corpus']}"]
    parts += ["--only", *result["only"]] if result["only"] else []
    return " ".join([*parts, f"--seeds {_seeds(result)}", f"--budget {result['budget']}", *result["overrides"]])


def _seeds(result: dict) -> int:
    return max(len(cell["runs"]) for cell in result["cells"])


def _rows(cell: dict, *, percent: bool, has_reference: bool) -> list[list[str]]:
    rows = []
    for features, scores in cell["scores"].items():
        is_first, is_whole = not rows, len(rows) == len(cell["scores"]) - 1
        trained, untrained = _summary(scores["trained"]), _summary(scores["untrained"])
        row = [cell["name"] if is_first else "", _FEATURES.get(features, features)]
        row += [wording.score(trained, percent=percent), wording.interval(trained, percent=percent)]
        row.append(wording.score(untrained, percent=percent))
        if has_reference:
            against = _summary(cell["against_reference"]) if is_whole else None
            row.append(wording.difference(against, seeds=trained.count, percent=percent))
        costs = [str(trained.count), f"{round(cell['steps']):,}"]
        costs += [wording.number(cell[name], 1) for name in ("passes", "cpu_minutes")]
        rows.append([*row, *(costs if is_first else [""] * len(costs))])
    return rows


def _summary(fields: dict | None) -> Summary | None:
    return None if fields is None else Summary(**fields)
