"""Renders what each change of the recipe gives, over all pairs of cells that differ by it alone."""

from collections.abc import Mapping

from pipeline.experiments import intervals
from pipeline.experiments.outputs import wording
from tests.benchmarks.tables import paragraph, table

FEATURES = ("both", "waveform", "log_mel")
_PARTS = {"reference": "", "warm-temperature": "warm"}
"""Names of cells that are not the sum of their changes -> that sum."""


def render(result: dict) -> str:
    """Renders a row for each change.

    Args:
        result: What `diptych ablate recipe` has given, as `tests.benchmarks.experiment` keeps it.
    """
    is_percent = result["metric"] == "accuracy"
    rows = []
    for change, pairs in pairs_of_cells(result).items():
        gained = {features: gains(result, pairs, features=features) for features in FEATURES}
        summaries = [intervals.summarize(values) for values in gained.values()]
        shown = [wording.difference(summary, seeds=0, percent=is_percent) for summary in summaries]
        ahead = sum(value > 0 for value in gained["both"])
        rows.append([f"`{change}`", *shown, str(len(pairs)), f"{ahead} of {len(gained['both'])}"])
    header = ["change", "both", "waveform", "log-mel", "pairs of cells", "both is better"]
    note = (
        f"Difference of the {result['metric']}{' in points' if is_percent else ''} between two cells of the next table "
        "that differ by the change alone, seed by seed: mean and Student's 95 % interval over all such pairs and their "
        "seeds. No training recurs in a row."
    )
    return table(header, [[cell.replace(" points", "") for cell in row] for row in rows]) + "\n" + paragraph(note)


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


def gains(result: dict, pairs: list[tuple[str, str]], *, features: str) -> list[float]:
    """Returns by how much the second cell of each pair is ahead, for each seed that both have."""
    scores: Mapping[str, Mapping[int, float]] = {
        cell["name"]: {run["seed"]: run["scores"][features] for run in cell["runs"]} for cell in result["cells"]
    }
    return [
        scores[changed][seed] - scores[unchanged][seed]
        for unchanged, changed in pairs
        for seed in scores[changed]
        if seed in scores[unchanged]
    ]


def _changes(name: str) -> frozenset[str]:
    return frozenset(_PARTS.get(name, name).split("+")) - {""}
