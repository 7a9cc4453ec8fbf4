"""Renders what each change of the recipe gives, over all pairs of cells that differ by it alone."""

import statistics
from collections.abc import Mapping, Sequence

from pipeline.experiments import intervals
from tests.benchmarks.experiment_table import difference
from tests.benchmarks.tables import paragraph, table

FEATURES = ("both", "waveform", "log_mel")
_PARTS = {"reference": "", "warm-temperature": "warm"}
"""Names of cells that are not the sum of their changes -> that sum."""


def render(result: dict) -> str:
    """Renders a row for each change.

    Args:
        result: What `diptych ablate recipe` has given, as `tests.benchmarks.experiment` keeps it.
    """
    percent, rows = result["metric"] == "accuracy", []
    for change, pairs in pairs_of_cells(result).items():
        summaries = [intervals.summarize(gains(result, pairs, features=features)) for features in FEATURES]
        shown = [difference(summary, seeds=summary.count, percent=percent) for summary in summaries]
        every = [value for pair in pairs for value in gains(result, [pair], features="both")]
        rows.append([f"`{change}`", *shown, str(len(pairs)), f"{sum(value > 0 for value in every)} of {len(every)}"])
    header = ["change", "both", "waveform", "log-mel", "pairs of cells", "both is better"]
    unit = ", in points," if percent else ""
    note = (
        f"Difference of the {result['metric']}{unit} between two cells of the next table that differ by the change "
        "alone: mean over all such pairs, and Student's 95 % interval over the seeds. No training recurs in a row."
    )
    return table(header, rows) + "\n" + paragraph(note)


def pairs_of_cells(result: dict) -> dict[str, list[tuple[str, str]]]:
    """Returns change -> pairs of cells, the first without the change and the second with it."""
    changes = {cell["name"]: _changes(cell["name"]) for cell in result["cells"]}
    names = {of_cell: name for name, of_cell in changes.items()}
    pairs: dict[str, list[tuple[str, str]]] = {}
    for name, of_cell in changes.items():
        for change in sorted(of_cell):
            without = names.get(of_cell - {change})
            if without is not None:
                pairs.setdefault(change, []).append((without, name))
    return pairs


def gains(result: dict, pairs: Sequence[tuple[str, str]], *, features: str) -> list[float]:
    """Returns by how much the second cells of pairs are ahead: the mean over the pairs, for each seed that all have.

    Trainings of one seed begin with the same weights, so their differences count as one measurement.
    """
    scores: Mapping[str, Mapping[int, float]] = {
        cell["name"]: {run["seed"]: run["scores"][features] for run in cell["runs"]} for cell in result["cells"]
    }
    seeds = set.intersection(*(set(scores[name]) for pair in pairs for name in pair))
    return [
        statistics.fmean(scores[changed][seed] - scores[unchanged][seed] for unchanged, changed in pairs)
        for seed in sorted(seeds)
    ]


def _changes(name: str) -> frozenset[str]:
    return frozenset(_PARTS.get(name, name).split("+")) - {""}
