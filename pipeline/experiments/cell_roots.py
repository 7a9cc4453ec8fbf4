"""The roots of the cells: one that they share, and one for each cell that is run by itself."""

import os
from collections.abc import Collection

from etils import epath

from components import file_errors
from components.errors import UserError
from pipeline.configs.config import PipelineConfig
from pipeline.experiments.budget import Budget
from pipeline.experiments.experiment import Cell
from pipeline.experiments.workplace import Workplace
from pipeline.root import Root

FOLDER = "cells"
"""Folder below the shared root for the roots of single cells, in which the commands of `--print` run."""


class CellRoots:
    """Finds the root that counts for a cell.

    Args:
        root: The root that the cells share. It is local.
        base: The config of the preset with the user's overrides.
        overridden: Dotted names of the fields that the user set.
        preset: Name of the preset.
        budget: What each training may take.
        seeds: Number of trainings of a cell.
    """

    def __init__(
        self,
        root: Root,
        *,
        base: PipelineConfig,
        overridden: Collection[str],
        preset: str,
        budget: Budget,
        seeds: int,
    ):
        self._root, self._base, self._overridden, self._preset, self._budget = root, base, overridden, preset, budget
        self._seeds = seeds
        self._of_cell: dict[str, Workplace] = {}
        self.shared = self._workplace(root)

    @property
    def clips(self) -> int:
        """Number of clips of the train split; 0 before any root has examples."""
        return max(workplace.clips for workplace in (self.shared, *self._of_cell.values()))

    def own(self, cell: Cell) -> epath.Path:
        """Returns the root in which a cell runs if it is run by itself, as `--print` shows."""
        return self._root.path / FOLDER / cell.name

    def of(self, cell: Cell) -> Workplace:
        """Returns the root that counts for a cell, its own or the shared one. It stays the same for the whole command.

        The own root counts if it has finished a training or is in use, and also if neither root has finished anything.
        So a command for one cell that was begun and given up hides nothing that has finished in the shared root, and
        nor does one whose trainings were all of another budget or other overrides. A root that is damaged counts: what
        it holds is not known.
        """
        if cell.name not in self._of_cell:
            own = self._workplace(Root(self.own(cell)))
            self._of_cell[cell.name] = own if self._counts(own, cell=cell) else self.shared
        return self._of_cell[cell.name]

    def _counts(self, own: Workplace, *, cell: Cell) -> bool:
        if not own.exists:
            return False
        try:
            with file_errors.as_user_errors(place=os.fspath(own.root.path)):
                if own.is_in_use():
                    return True
                if own.has_finished():
                    return self._trained(cell, own) != 0 or not self._trained(cell, self.shared)
        except UserError:  # It is damaged, and whoever looks into it says so.
            return True
        return not self.shared.has_finished()

    def _trained(self, cell: Cell, workplace: Workplace) -> int | None:
        """Returns how many of the trainings of a cell that are asked for have finished in a root; None if unknown.

        It is not known of examples that are not up to date: the same audio may lie elsewhere than when they were made.
        """
        if not workplace.exists or not workplace.look():
            return None
        steps = workplace.steps(cell)
        if steps is None:  # Nothing could be trained without.
            return 0
        return sum(workplace.find(cell, seed=seed, steps=steps) is not None for seed in range(self._seeds))

    def _workplace(self, root: Root) -> Workplace:
        return Workplace(root, base=self._base, overridden=self._overridden, preset=self._preset, budget=self._budget)
