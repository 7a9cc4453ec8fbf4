"""The results as Markdown, laid out like the paper's table, and as CSV, with a row for each set of features."""

import csv
import io
from collections.abc import Iterator, Sequence

from components import markdown as tables
from components.text import plural
from pipeline.experiments.experiment import BOTH, Place
from pipeline.experiments.intervals import Summary
from pipeline.experiments.outputs import wording
from pipeline.experiments.results import UNTRAINED, CellResult, Results

_CSV_HEADER = (
    "experiment",
    "cell",
    "features",
    "metric",
    "seeds",
    "mean",
    "sd",
    "low",
    "high",
    "untrained",
    "difference",
    "difference_seeds",
    "difference_low",
    "difference_high",
    "paper",
    "steps",
    "passes",
    "cpu_minutes",
)


def markdown(results: Results) -> str:
    """Returns the page: the paper's table with both numbers, and all scores below it."""
    experiment = results.experiment
    parts = [f"# {experiment.heading}", _what(results), *_notes(results)]
    for title, places in blocks(results.layout.places).items():
        if title:
            parts.append(f"**{title}**")
        parts.append(_block(results, places))
    parts += ["## All scores", tables.table(*_all_scores(results))]
    if results.errors:
        parts += ["## Failed", "\n".join(f"* {tables.escaped(error)}" for error in results.errors)]
    return "\n\n".join(parts) + "\n"


def comma_separated(results: Results) -> str:
    """Returns a row for each cell and set of features, and one for each number of the paper alone, as CSV."""
    file = io.StringIO()
    writer = csv.writer(file, lineterminator="\n")
    writer.writerow(_CSV_HEADER)
    paper = {(place.cell, place.features): place.paper for place in results.layout.places if place.cell}
    for name, result in results.cells.items():
        for features in result.feature_sets or [BOTH]:
            in_paper = paper.get((name, features))
            if in_paper is None and len(result.feature_sets) == 1:  # `both` of an encoder that is alone.
                in_paper = paper.get((name, BOTH))
            writer.writerow(_csv_row(results, result, features, in_paper))
    for place in results.layout.places:
        if not place.cell:
            row = dict.fromkeys(_CSV_HEADER, "") | {"cell": place.row, "paper": place.paper}
            writer.writerow((row | {"experiment": results.experiment.name}).values())
    return file.getvalue()


def blocks(places: Sequence[Place]) -> dict[str, list[Place]]:
    """Returns the places of each part of the table, by its title."""
    found: dict[str, list[Place]] = {}
    for place in places:
        found.setdefault(place.block, []).append(place)
    return found


def rows_and_columns(places: Sequence[Place]) -> tuple[list[str], list[str]]:
    """Returns the headings of the rows and of the columns of a part, in order."""
    return list(dict.fromkeys(place.row for place in places)), list(dict.fromkeys(place.column for place in places))


def untrained(result: CellResult, features: str) -> Summary | None:
    """Returns the score of a set of features before training."""
    return result.summary(UNTRAINED + features)


def _what(results: Results) -> str:
    settings = results.settings
    seeds = plural(settings["seeds"], "seed")
    what = (
        f"Preset {settings['preset']}, {settings['data']}, {results.clips:,} training clips, {seeds}, budget "
        f"{settings['budget']} for each training. Score: {wording.heading(results)}; mean ± standard deviation of a "
        "single training."
    )
    return what + (f" Paper: {results.experiment.paper}." if results.experiment.paper else "")


def _notes(results: Results) -> list[str]:
    unequal = tables.escaped(wording.unequal_machines(results))
    parts = [part for part in (results.experiment.note, unequal) if part]
    if results.settings["overrides"]:
        parts.append(
            f"For all cells that do not set it themselves: `{' '.join(map(str, results.settings['overrides']))}`."
        )
    return parts


def _block(results: Results, places: Sequence[Place]) -> str:
    rows, columns = rows_and_columns(places)
    has_paper = any(place.paper is not None for place in places)
    at = {(place.row, place.column): place for place in places}
    if len(columns) == 1:
        header = ["", results.metric, "95 % interval", "untrained", *(["paper"] if has_paper else [])]
        lines = [_line(results, at[row, columns[0]])[: len(header)] for row in rows]
        return tables.table(header, lines)
    lines = []
    for row in rows:
        found = [at.get((row, column)) for column in columns]
        name = results.metric if row == "score" else row
        scores = [wording.score(results.summary(place)) if place else "" for place in found]
        lines.append([name, *scores])
        if has_paper:
            lines.append([f"{name}, paper", *(wording.number(place.paper) if place else "" for place in found)])
    return tables.table(["", *columns], lines)


def _line(results: Results, place: Place) -> list[str]:
    summary = results.summary(place)
    before = untrained(results.cells[place.cell], place.features) if place.cell else None
    scores = [wording.score(summary), wording.interval(summary), wording.score(before)]
    return [place.row, *scores, wording.number(place.paper)]


def _all_scores(results: Results) -> tuple[list[str], list[list[str]]]:
    reference = results.experiment.reference
    header = ["cell", "features", results.metric, "95 % interval", "untrained", "seeds"]
    header += [f"against {reference}"] if reference else []
    rows = []
    for name, features, result in _scored(results):
        summary = result.summary(features)
        row = [name, features, wording.score(summary), wording.interval(summary)]
        row += [wording.score(untrained(result, features)), str(summary.count) if summary else "0"]
        sets = result.feature_sets or [BOTH]
        is_first, is_whole = features == sets[0], features == sets[-1]
        if reference:
            seeds = summary.count if summary else 0
            row.append(wording.difference(results.difference(result), seeds=seeds) if is_whole else "")
        rows.append([*row, *(wording.cost(results, result) if is_first else ("", "", ""))])
    return [*header, "steps", "passes", "CPU min"], rows


def _scored(results: Results) -> Iterator[tuple[str, str, CellResult]]:
    for name, result in results.cells.items():
        for features in result.feature_sets or [BOTH]:
            yield name, features, result


def _csv_row(results: Results, result: CellResult, features: str, paper: float | None) -> list[object]:
    summary, before = result.summary(features), untrained(result, features)
    is_whole = features == BOTH or len(result.feature_sets) == 1
    compared = results.difference(result) if is_whole else None
    return [
        results.experiment.name,
        result.cell.name,
        features,
        results.metric,
        summary.count if summary else 0,
        *_numbers(summary, "mean", "sd", "low", "high"),
        *_numbers(before, "mean"),
        *_numbers(compared, "mean", "count", "low", "high"),
        "" if paper is None else paper,
        _rounded(result.steps),
        _rounded(results.passes(result)),
        _rounded(result.cpu_minutes),
    ]


def _numbers(summary: Summary | None, *names: str) -> list[object]:
    return [_rounded(None if summary is None else getattr(summary, name)) for name in names]


def _rounded(value: float | None) -> object:
    return "" if value is None else round(value, 6)
