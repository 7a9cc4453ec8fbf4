"""Finds the trainings of a cell that have finished, and why some may be missing."""

import contextlib
import dataclasses
import os
from collections.abc import Iterator, Mapping

from components import file_errors
from components.errors import DamagedFile, UserError
from pipeline.experiments.experiment import Cell
from pipeline.experiments.results import SeedResult
from pipeline.experiments.workplace import Workplace


@dataclasses.dataclass(frozen=True, kw_only=True)
class Found:
    """What the root of a cell has of it.

    Attributes:
        runs: Seed -> what its training has given so far.
        why_not_all: A sentence that says why trainings that have finished may be missing; "" if none can be.
    """

    runs: Mapping[int, SeedResult]
    why_not_all: str


def look_at(cell: Cell, *, workplace: Workplace, is_shared: bool, seeds: int) -> Found:
    """Finds the trainings of a cell that have finished.

    Args:
        cell: The cell.
        workplace: The root that counts for it.
        is_shared: Whether other cells share the root.
        seeds: Number of its trainings.

    Raises:
        UserError: A shared root is damaged. A cell's own root concerns that cell alone.
    """
    place = os.fspath(workplace.root.path)
    runs = {seed: SeedResult(seed=seed) for seed in range(seeds)}
    try:
        with file_errors.as_user_errors(place=place):
            is_same = workplace.look()
            has_others = not is_same and workplace.has_finished()
    except UserError as error:
        if is_shared:
            raise
        return Found(runs=runs, why_not_all=str(error))
    if not is_same:
        return Found(runs=runs, why_not_all=_of_other_examples(place) if has_others else "")
    reasons: list[str] = []
    steps = None
    with _noted(reasons, place=place, is_shared=is_shared):
        steps = workplace.steps(cell)
    if steps is not None:
        machine = workplace.measured_on(cell)
        for seed in runs:
            evaluated = None
            with _noted(reasons, place=place, is_shared=is_shared):
                evaluated = workplace.find(cell, seed=seed, steps=steps)
            runs[seed] = SeedResult(seed=seed, steps=steps, measured_on=machine, evaluated=evaluated)
    return Found(runs=runs, why_not_all=reasons[-1] if reasons else "")


def _of_other_examples(place: str) -> str:
    return (
        f"They may have finished under {place}, on other examples than those of this command (other audio, paths, "
        "dates or settings): name these cells after --only, too; they are found if the audio is the same, and trained "
        "if not."
    )


@contextlib.contextmanager
def _noted(reasons: list[str], *, place: str, is_shared: bool) -> Iterator[None]:
    """Appends what goes wrong to the reasons, and goes on."""
    try:
        with file_errors.as_user_errors(place=place):
            yield
    except UserError as error:
        # Under the shared root, the overrides or the budget may just not fit a cell that --only leaves out.
        if isinstance(error, DamagedFile) or not is_shared:
            reasons.append(str(error))
