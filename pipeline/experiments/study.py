"""Runs the cells of an experiment, one training after the other, and keeps its results up to date."""

import contextlib
import dataclasses
import os
from collections.abc import Sequence

from etils import epath

from components import file_errors
from components.errors import DamagedFile, UserError
from components.text import plural
from pipeline import dag, paths
from pipeline.configs import resolve, typed_paths
from pipeline.console.progress import Display
from pipeline.experiments import budget as budgets
from pipeline.experiments import experiment as experiments
from pipeline.experiments import settings
from pipeline.experiments.experiment import Cell, Experiment
from pipeline.experiments.outputs import write
from pipeline.experiments.processes import ProcessError
from pipeline.experiments.results import CellResult, Results, SeedResult
from pipeline.experiments.workplace import Workplace
from pipeline.root import Root

OWN_ROOTS = "cells"
"""Folder below the root for the roots of single cells, in which the commands of `--print` run."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Request:
    """What the user asks for.

    Attributes:
        experiment: The experiment.
        preset: Name of the preset.
        data: Audio in place of a generated corpus, or None.
        root: The root as typed.
        seeds: Number of trainings of a cell, with the seeds 0, 1 and so on.
        budget: The value of `--budget`, or None for the preset's.
        only: See `experiment.select`.
        assignments: Overrides for all cells that do not set the field themselves.
    """

    experiment: Experiment
    preset: str
    data: str | None
    root: str
    seeds: int
    budget: str | None
    only: Sequence[str]
    assignments: Sequence[str]


class Study:
    """An experiment with its settings.

    Args:
        request: What the user asks for.

    Raises:
        UserError: It does not fit together.
    """

    def __init__(self, request: Request):
        if request.seeds < 1:
            raise UserError(f"--seeds {request.seeds}: give at least 1.")
        typed = resolve.resolve(request.preset, data=request.data, assignments=request.assignments)
        # As a cell is found by its overrides, paths are the same here and in what --print prints for other folders.
        request = dataclasses.replace(request, assignments=typed_paths.absolute(request.assignments, config=typed))
        self.request = request
        self.base = resolve.resolve(request.preset, data=request.data, assignments=request.assignments)
        self.budget = (
            budgets.default(request.preset, self.base) if request.budget is None else budgets.parse(request.budget)
        )
        self.layout = request.experiment.layout(self.base)
        self.selected = experiments.select(self.layout.cells, request.only, experiment=request.experiment.name)
        settings.check_overrides(
            request.assignments,
            selected=self.selected,
            cells=self.layout.cells,
            experiment=request.experiment.name,
        )
        dag.create_pipeline(self.base)
        self._batch_sizes = self._check_cells()
        self.root = _root(request.root)
        self._workplaces: dict[str, Workplace] = {}
        self._place_of: dict[str, Workplace] = {}
        self._runs: dict[str, dict[int, SeedResult]] = {cell.name: {} for cell in self.layout.cells}

    def _check_cells(self) -> dict[str, int]:
        """Returns the size of the batches of each cell that the overrides fit. They have to fit all that are to run.

        Raises:
            UserError: They do not fit one that is to run.
        """
        sizes = {}
        for cell in self.layout.cells:
            try:
                config = settings.of_training(self.base, cell, seed=0, steps=1)
                if cell in self.selected:
                    dag.create_pipeline(config)
            except UserError as error:
                if cell in self.selected:
                    raise UserError(f"Cell {cell.name}: {error}") from error
                continue
            sizes[cell.name] = config.trainer.batch_size
        return sizes

    @property
    def folder(self) -> epath.Path:
        """Where the results are written."""
        return self.root.path / "experiments" / self.request.experiment.name

    def own_root(self, cell: Cell) -> epath.Path:
        """Returns the root in which a cell runs if it is run by itself, as `--print` shows."""
        return self.root.path / OWN_ROOTS / cell.name

    def run(self, display: Display) -> Results:
        """Runs the trainings that have not finished. Call it inside `interrupts.as_exceptions()`.

        A training that fails is recorded, and the others go on.

        Raises:
            UserError: No training can run, e.g. because another command is using the root.
            Interrupted: A signal stopped it.
        """
        with self._workplace(self.root.path).lock():
            self._check_folder()
            self._write_examples(display)
            self._look(display)
            total, number = self.request.seeds * len(self.selected), 0
            known = sum(run.evaluated is not None for cell in self.selected for run in self._runs[cell.name].values())
            display.say(f"{self.request.experiment.heading}: {total} trainings, {known} of which have finished before")
            for seed in range(self.request.seeds):
                for cell in self.selected:
                    number += 1
                    if self._runs[cell.name][seed].evaluated is None:
                        self._runs[cell.name][seed] = self._run(cell, seed, of=f"{number} of {total}", display=display)
                        write.write_tables(self.results(), self.folder)
            results = self.results()
            write.write_all(results, self.folder)
        return results

    def _check_folder(self) -> None:
        """Checks that the results can be written: now, not after the first training."""
        if self.folder.exists() and not self.folder.is_dir():
            raise UserError(f"{self.folder} is a file where the results belong: move it away, or give another --root.")

    def results(self) -> Results:
        """Returns what has been found or run so far."""
        cells = {}
        for cell in self.layout.cells:
            runs = [self._runs[cell.name].get(seed, SeedResult(seed=seed)) for seed in range(self.request.seeds)]
            cells[cell.name] = CellResult(cell=cell, batch_size=self._batch_sizes.get(cell.name, 0), runs=runs)
        request = self.request
        return Results(
            experiment=request.experiment,
            layout=self.layout,
            cells=cells,
            settings={
                "preset": request.preset,
                "data": self.base.audio_example_gen.source or "generated corpus",
                "budget": self.budget.text,
                "seeds": request.seeds,
                "overrides": list(request.assignments),
            },
            clips=max((workplace.clips for workplace in self._workplaces.values()), default=0),
        )

    def _write_examples(self, display: Display) -> None:
        """Writes the examples that cells share, unless they are up to date.

        Finished trainings are found by their examples. These may have to be written again although the audio is the
        same, e.g. after it was copied or mounted anew. A failure ends the command: all cells would fail like it.
        """
        shared = self._workplace(self.root.path)
        if all(self._workplace_of(cell) is not shared for cell in self.selected):
            return
        try:
            shared.prepare(display)
        except ProcessError as error:
            raise UserError(str(error)) from error

    def _look(self, display: Display) -> None:
        """Finds the trainings that have finished, of all cells, also of those that `--only` leaves out."""
        passed_over: dict[str, list[str]] = {}
        for cell in self.layout.cells:
            if cell.name in self._batch_sizes:
                reason = self._look_at(cell)
                if reason and cell not in self.selected:  # One that is to run is brought up to date, or says so then.
                    passed_over.setdefault(reason, []).append(cell.name)
        for reason, names in passed_over.items():
            display.say(f"Not in the results: {', '.join(names)}. {reason}")

    def _look_at(self, cell: Cell) -> str:
        """Finds the trainings of a cell that have finished, and returns why some may not have been found.

        Raises:
            UserError: The shared root is damaged. A cell's own root concerns that cell alone.
        """
        workplace, reason = self._workplace_of(cell), ""
        is_same, steps = False, None
        is_shared = workplace.root == self.root
        place = os.fspath(workplace.root.path)
        try:
            with file_errors.as_user_errors(place=place):
                is_same = workplace.look()
                if not is_same and workplace.has_finished():
                    reason = (
                        f"They may have finished under {place}, on other examples than those of this command (other "
                        "audio, paths, dates or settings): name these cells after --only, too; they are found if the "
                        "audio is the same, and trained if not."
                    )
        except UserError as error:
            if is_shared:
                raise
            reason = str(error)
        for seed in range(self.request.seeds):
            evaluated = None
            try:
                with file_errors.as_user_errors(place=place):
                    steps = workplace.steps(cell) if is_same else None
                    evaluated = None if steps is None else workplace.find(cell, seed=seed, steps=steps)
            except UserError as error:
                # Under the shared root, the overrides or the budget may just not fit a cell that --only leaves out.
                if isinstance(error, DamagedFile) or not is_shared:
                    reason = str(error)
            self._runs[cell.name][seed] = SeedResult(seed=seed, steps=steps, evaluated=evaluated)
        return reason

    def _run(self, cell: Cell, seed: int, *, of: str, display: Display) -> SeedResult:
        workplace = self._workplace_of(cell)
        steps = None
        try:
            with contextlib.ExitStack() as stack:
                if workplace.root != self.root:
                    stack.enter_context(file_errors.as_user_errors(place=os.fspath(workplace.root.path)))
                    stack.enter_context(workplace.lock(of_cell=cell.name))
                workplace.prepare(display)
                steps = workplace.steps(cell, display=display)
                display.say(f"{self.request.experiment.name}, {of}: {cell.name}, seed {seed}, {plural(steps, 'step')}")
                evaluated = workplace.run(cell, seed=seed, steps=steps, display=display)
        except (UserError, ProcessError) as error:
            display.say(f"{cell.name}, seed {seed} failed: {error}")
            return SeedResult(seed=seed, steps=steps, error=str(error))
        return SeedResult(seed=seed, steps=steps, evaluated=evaluated)

    def _workplace_of(self, cell: Cell) -> Workplace:
        """Returns the root that counts for a cell, its own or the shared one. It stays the same for the whole command.

        The own root counts if it has finished a training or is in use, and also if neither root has finished anything.
        So a command for one cell that was begun and given up hides nothing that has finished in the shared root. One
        that is damaged counts: what it holds is not known.
        """
        if cell.name not in self._place_of:
            own, shared = self._workplace(self.own_root(cell)), self._workplace(self.root.path)
            self._place_of[cell.name] = own if self._counts(own, shared=shared) else shared
        return self._place_of[cell.name]

    def _counts(self, own: Workplace, *, shared: Workplace) -> bool:
        if not own.exists:
            return False
        try:
            with file_errors.as_user_errors(place=os.fspath(own.root.path)):
                if own.has_finished() or own.is_in_use():
                    return True
        except UserError:  # It is damaged, and whoever looks into it says so.
            return True
        return not shared.has_finished()

    def _workplace(self, folder: epath.Path) -> Workplace:
        name = os.fspath(folder)
        if name not in self._workplaces:
            self._workplaces[name] = Workplace(
                Root(folder),
                base=self.base,
                overridden=settings.fields_of(self.request.assignments),
                preset=self.request.preset,
                budget=self.budget,
            )
        return self._workplaces[name]


def _root(typed: str) -> Root:
    """Returns the root that `--root` names.

    Raises:
        UserError: It is no local folder.
    """
    if not typed:
        raise UserError("--root is empty: give a folder.")
    try:
        root = Root(epath.Path(paths.absolute(typed)))
    except KeyError:  # epath does not know the scheme of the URL.
        root = None
    if root is None or not root.is_local:
        raise UserError(f"--root {typed}: the metadata of the cells are a file: give a local folder.")
    return root
