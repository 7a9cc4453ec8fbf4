"""Diptych and its rivals on ESC-50, for the same processor time: `python -m tests.benchmarks.rivals --data ESC-50`.

Each contender is trained on all clips of ESC-50, without their labels, and its embeddings are scored in
cross-validation over the five folds: by the Evaluator's linear probe, by the nearest neighbors, and by linear
classifiers on 8 clips a class. Every contender with every seed is a cell; finished cells stay in `--work`, so that the
same command continues a run that was stopped.
"""

import argparse
import pathlib
import statistics
import sys
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence

from beam_jobs.sources.clips import SourceError
from components.errors import UserError
from tests.benchmarks import measuring
from tests.benchmarks.record import RESULTS
from tests.benchmarks.rivals.cells import Cell
from tests.benchmarks.rivals.contenders import CONTENDERS

SCORES = ("linear", "knn", "few_shot")


def main() -> None:
    """Runs the command."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=pathlib.Path, required=True, help="ESC-50's folder")
    parser.add_argument(
        "--cpu_minutes", type=float, default=14.0, help="processor time of a training, of all cores together"
    )
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2], help="default: 0 1 2")
    parser.add_argument("--rivals", nargs="+", choices=CONTENDERS, default=list(CONTENDERS), help="default: all")
    parser.add_argument(
        "--set", nargs="+", default=[], metavar="RIVAL.FIELD=VALUE", help="fields of the Trainer's config of a rival"
    )
    parser.add_argument(
        "--work", type=pathlib.Path, default=pathlib.Path("runs/rivals"), help="keeps the examples and finished cells"
    )
    parser.add_argument(
        "--finished", action="store_true", help="train nothing: keep the results of the cells that have finished"
    )
    parser.add_argument("--results", type=pathlib.Path, default=RESULTS, help="folder of the result file")
    flags = parser.parse_args()
    try:
        changes = changes_by_rival(flags.set)
        cells = plan(flags.rivals, seeds=flags.seeds, changes=changes, cpu_minutes=flags.cpu_minutes)
    except UserError as error:
        sys.exit(f"--set: {error}")
    try:
        clips = _count_clips(flags.data, flags.work)
    except SourceError as error:
        sys.exit(f"--data: {error}")
    if flags.finished:
        planned, cells = cells, [cell for cell in cells if cell.has_finished(flags.work)]
        missing = [f"{cell.name} with seed {cell.seed}" for cell in planned if cell not in cells]
        if missing:
            print(f"Left out, because they have not finished: {', '.join(missing)}.", file=sys.stderr)
    results: defaultdict[str, dict[str, dict]] = defaultdict(dict)
    for number, cell in enumerate(cells, start=1):
        result = cell.result(flags.work)
        results[cell.name][str(cell.seed)] = result
        accuracies = ", ".join(f"{name} {one['linear']:.3f}" for name, one in result["scores"].items())
        print(f"{number} of {len(cells)}: {cell.name}, seed {cell.seed}: {accuracies}", file=sys.stderr, flush=True)
    config = CONTENDERS["diptych"].config(seed=0, changes=changes.get("diptych", ()))
    figures = {
        "corpus": "ESC-50",
        "clips": clips,
        "cpu_minutes": flags.cpu_minutes,
        "batch_size": config.batch_size,
        "crop_seconds": config.model.crop_seconds,
        "seeds": flags.seeds,
        "contenders": {
            name: {
                "title": CONTENDERS[name].title,
                "changes": list(changes.get(name, ())),
                "means": summarize(by_seed.values()),
                "by_seed": by_seed,
            }
            for name, by_seed in results.items()
        },
    }
    measuring.save("rivals", figures, results=flags.results)


def changes_by_rival(assignments: Sequence[str]) -> dict[str, list[str]]:
    """Sorts assignments such as "cola.learning_rate=1e-3" by the rival.

    Raises:
        UserError: There is no such rival.
    """
    changes: defaultdict[str, list[str]] = defaultdict(list)
    for assignment in assignments:
        name, _, change = assignment.partition(".")
        if name not in CONTENDERS:
            raise UserError(f"{assignment!r} names no rival: begin with one of {', '.join(CONTENDERS)} and a dot.")
        changes[name].append(change)
    return changes


def plan(
    names: Sequence[str], *, seeds: Sequence[int], changes: Mapping[str, Sequence[str]], cpu_minutes: float
) -> list[Cell]:
    """Returns the cells, seed by seed, so that a run that is stopped has compared all with some of the seeds.

    Raises:
        UserError: A change names no field, or its value does not fit.
    """
    cells = [
        Cell(name=name, seed=seed, changes=tuple(changes.get(name, ())), cpu_minutes=cpu_minutes)
        for seed in seeds
        for name in names
        if CONTENDERS[name].is_random or seed == seeds[0]
    ]
    for cell in cells:
        CONTENDERS[cell.name].config(seed=cell.seed, changes=cell.changes)
    return cells


def summarize(results: Iterable[Mapping[str, object]]) -> dict[str, dict[str, object]]:
    """Returns the mean and the standard deviation over the seeds of every score of every set of features.

    Args:
        results: Of the seeds, see `cells.measure`.

    Returns:
        Set of features -> `dims`, and each of `SCORES` -> mean and deviation; the deviation of one seed is None.
    """
    scores = [result["scores"] for result in results]
    return {
        name: {
            "dims": first["dims"],
            **{column: _mean_and_deviation([one[name][column] for one in scores]) for column in SCORES},
        }
        for name, first in scores[0].items()
    }


def _mean_and_deviation(values: Sequence[float]) -> tuple[float, float | None]:
    return statistics.mean(values), statistics.stdev(values) if len(values) > 1 else None


def _count_clips(data: pathlib.Path, work: pathlib.Path) -> int:
    # Imported here because it loads TensorFlow, which the wrong flag must not wait for.
    from tests.benchmarks.clips import write_esc50

    return write_esc50(data, work / "examples").splits["train"]


if __name__ == "__main__":
    main()
