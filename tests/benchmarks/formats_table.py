"""Renders how far two formats are ahead of one, from all results that tell it."""

import dataclasses
import statistics
from collections.abc import Mapping, Sequence

from pipeline.experiments import intervals
from tests.benchmarks.experiment_table import difference
from tests.benchmarks.tables import paragraph, table

Scores = Mapping[int, float]
"""Seed -> accuracy."""

_EXPERIMENTS = ("figure2", "figure2_formats", "figure2_longer", "figure2_half_hour")
RESULTS = (*_EXPERIMENTS, "figure2_curve", "rivals")
PAIR, ONE, WIDE = "waveform+log_mel", "log_mel", "log_mel-wide"


@dataclasses.dataclass(frozen=True, kw_only=True)
class Comparison:
    """The pair and one format, trained alike.

    Attributes:
        setting: What they have in common.
        linear: Cell -> accuracy of the linear probe.
        knn: Cell -> accuracy of the nearest neighbors; empty if it is not known seed by seed.
    """

    setting: str
    linear: Mapping[str, Scores]
    knn: Mapping[str, Scores]


def render(results: Mapping[str, dict]) -> str:
    """Renders a row for each comparison.

    Args:
        results: Content of the files `RESULTS`.
    """
    rows, every = [], comparisons(results)
    for comparison in every:
        scores = (comparison.linear, comparison.knn)
        columns = [_column(of_cells, than) for than in (ONE, WIDE) for of_cells in scores]
        rows.append([comparison.setting, *columns, str(len(comparison.linear[PAIR]))])
    header = ["setting", "than one: linear", "k-NN", "than one, twice as wide: linear", "k-NN", "seeds"]
    note = (
        f"Accuracy on ESC-50 with both encoders of `{PAIR}`, minus that with the encoder of `{ONE}` and of `{WIDE}`, "
        "in points, with Student's 95 % interval over the seeds that both have. Of trainings on an accelerator, no "
        f"k-NN was kept seed by seed. {_together(every[:-1])}"
    )
    return table(header, rows) + "\n" + paragraph(note)


def comparisons(results: Mapping[str, dict]) -> list[Comparison]:
    """Returns all comparisons of the pair with one format.

    Args:
        results: See `render`.
    """
    of_experiments = [_of_experiment(results[name]) for name in _EXPERIMENTS]
    return [*of_experiments, *_of_curve(results["figure2_curve"]), *_of_rivals(results["rivals"])]


def ahead(of_cells: Mapping[str, Scores], than: str) -> dict[int, float]:
    """Returns by how much the pair is ahead of another cell: seed -> difference, for the seeds that both have."""
    ours, theirs = of_cells.get(PAIR, {}), of_cells.get(than, {})
    return {seed: ours[seed] - theirs[seed] for seed in ours if seed in theirs}


def mean_of_seeds(every: Sequence[Mapping[int, float]]) -> list[float]:
    """Returns the mean over comparisons for each seed: trainings of one seed begin with the same weights."""
    seeds = sorted({seed for values in every for seed in values})
    return [statistics.fmean(values[seed] for values in every if seed in values) for seed in seeds]


def _together(every: Sequence[Comparison]) -> str:
    """Returns what all comparisons with the wide encoder give together, e.g. "All rows ...: linear +0.1 (...), ..."."""
    columns = {
        "linear": [ahead(comparison.linear, WIDE) for comparison in every],
        "k-NN": [ahead(comparison.knn, WIDE) for comparison in every],
    }
    parts = []
    for name, of_rows in columns.items():
        summary = intervals.summarize(mean_of_seeds(of_rows))
        shown = difference(summary, seeds=summary.count, percent=True)
        values = [value for of_row in of_rows for value in of_row.values()]
        parts.append(f"{name} {shown}, positive for {sum(value > 0 for value in values)} of {len(values)} trainings")
    return (
        f"Against `{WIDE}`, over all rows that have it but the last, which has the pair's trainings of the row before, "
        f"with the interval over the means of the seeds: {'; '.join(parts)}."
    )


def _column(of_cells: Mapping[str, Scores], than: str) -> str:
    values = list(ahead(of_cells, than).values())
    seeds = len(of_cells.get(PAIR, {}))
    return difference(intervals.summarize(values), seeds=seeds, percent=True)


def _of_experiment(result: dict) -> Comparison:
    """Compares the cells of `diptych ablate figure2`."""
    cells = {cell["name"]: cell["runs"] for cell in result["cells"] if cell["name"] in (PAIR, ONE, WIDE)}
    whole = {name: "both" if name == PAIR else "log_mel" for name in cells}
    crop = _crop_seconds(result)
    minutes = result["budget"].removeprefix("cpu-minutes=")
    return Comparison(
        setting=f"{minutes} min, crops of {crop} s",
        linear={name: {run["seed"]: run["scores"][whole[name]] for run in runs} for name, runs in cells.items()},
        knn={name: {run["seed"]: run["knn"][whole[name]]["score"] for run in runs} for name, runs in cells.items()},
    )


def _crop_seconds(result: dict) -> str:
    """Returns the length of the crops: an override, or that of the preset `tiny`."""
    lengths = [value for field, _, value in (one.partition("=") for one in result["overrides"]) if "crop" in field]
    return lengths[0] if lengths else "1"


def _of_curve(result: dict) -> list[Comparison]:
    """Compares the cells that were trained on an accelerator, by the processor time that their steps stand for."""
    at = {(cell["minutes"], cell["name"]): cell for cell in result["cells"]}
    compared = []
    for minutes in (minutes for minutes, name in at if name == PAIR):
        cells = {name: cell for (cell_minutes, name), cell in at.items() if cell_minutes == minutes}
        compared.append(
            Comparison(
                setting=f"{minutes} min, crops of 1 s, on an accelerator",
                linear={name: _by_seed(cell, "linear_of_seeds") for name, cell in cells.items()},
                knn={name: _by_seed(cell, "knn_of_seeds") for name, cell in cells.items() if "knn_of_seeds" in cell},
            )
        )
    return compared


def _by_seed(cell: dict, field: str) -> Scores:
    return dict(zip(cell["seeds"], cell[field], strict=True))


def _of_rivals(result: dict) -> list[Comparison]:
    """Compares Diptych and SimCLR, which is Diptych with one format, as `tests.benchmarks.rivals` trains them."""
    setting = f"{result['cpu_minutes']:g} min of one core, crops of {result['crop_seconds']:g} s"
    one_shift = f"{setting}; of the one format, one crop shifted"
    return [_of_simclr(result, setting, suffix=""), _of_simclr(result, one_shift, suffix="_one_shift")]


def _of_simclr(result: dict, setting: str, *, suffix: str) -> Comparison:
    cells = {PAIR: ("diptych", "both"), ONE: (f"simclr{suffix}", "log_mel"), WIDE: (f"simclr_wide{suffix}", "log_mel")}

    def scores(column: str) -> dict[str, Scores]:
        return {
            name: {
                int(seed): run["scores"][features][column]
                for seed, run in result["contenders"][contender]["by_seed"].items()
            }
            for name, (contender, features) in cells.items()
        }

    return Comparison(setting=setting, linear=scores("linear"), knn=scores("knn"))
