"""Runs the cells of an experiment, one training after the other, and keeps its results up to date."""

import contextlib
import dataclasses
import os
from collections.abc import Sequence

from etils import epath

from components import file_errors
from components.errors import UserError
from components.text import plural
from components.trainer import checks
from pipeline import dag, paths
from pipeline.configs import resolve, typed_paths
from pipeline.console.progress import Display
from pipeline.experiments import budget as budgets
from pipeline.experiments import experiment as experiments
from pipeline.experiments import looking, settings
from pipeline.experiments.cell_roots import CellRoots
from pipeline.experiments.experiment import Cell, Experiment
from pipeline.experiments.outputs import write
from pipeline.experiments.processes import ProcessError
from pipeline.experiments.results import CellResult, Results, SeedResult
from pipeline.root import Root


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
        self._clips_per_step = self._check_cells()
        self.root = _root(request.root)
        self.roots = CellRoots(
            self.root,
            base=self.base,
            overridden=settings.fields_of(request.assignments),
            preset=request.preset,
            budget=self.budget,
            seeds=request.seeds,
        )
        self._runs: dict[str, dict[int, SeedResult]] = {cell.name: {} for cell in self.layout.cells}

    def _check_cells(self) -> dict[str, int]:
        """Returns the clips in a batch of each cell that the overrides fit. They have to fit all that are to run.

        Raises:
            UserError: They do not fit one that is to run.
        """
        clips_per_step = {}
        for cell in self.layout.cells:
            try:
                config = settings.of_training(self.base, cell, seed=0, steps=1)
                if cell in self.selected:
                    dag.create_pipeline(config)
                    checks.check_batch_size(config.trainer, replicas=1)
            except UserError as error:
                if cell in self.selected:
                    raise UserError(f"Cell {cell.name}: {error}") from error
                continue
            if config.trainer.clips_per_step:  # Otherwise trainer.pairs_per_clip is more than its whole batch.
                clips_per_step[cell.name] = config.trainer.clips_per_step
        return clips_per_step

    @property
    def folder(self) -> epath.Path:
        """Where the results are written."""
        return self.root.experiments / self.request.experiment.name

    def run(self, display: Display) -> Results:
        """Runs the trainings that have not finished. Call it inside `interrupts.as_exceptions()`.

        A training that fails is recorded, and the others go on.

        Raises:
            UserError: No training can run, e.g. because another command is using the root.
            Interrupted: A signal stopped it.
        """
        with self.roots.shared.lock():
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
            cells[cell.name] = CellResult(cell=cell, clips_per_step=self._clips_per_step.get(cell.name, 0), runs=runs)
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
            clips=self.roots.clips,
        )

    def _write_examples(self, display: Display) -> None:
        """Writes the examples that cells share, unless they are up to date.

        Finished trainings are found by their examples. These may have to be written again although the audio is the
        same, e.g. after it was copied or mounted anew. A failure ends the command: all cells would fail like it.
        """
        if all(self.roots.of(cell) is not self.roots.shared for cell in self.selected):
            return
        try:
            self.roots.shared.prepare(display)
        except ProcessError as error:
            raise UserError(str(error)) from error

    def _look(self, display: Display) -> None:
        """Finds the trainings that have finished, of all cells, also of those that `--only` leaves out."""
        passed_over: dict[str, list[str]] = {}
        for cell in self.layout.cells:
            if cell.name in self._clips_per_step:
                workplace = self.roots.of(cell)
                is_shared = workplace is self.roots.shared
                found = looking.look_at(cell, workplace=workplace, is_shared=is_shared, seeds=self.request.seeds)
                self._runs[cell.name] = dict(found.runs)
                # A cell that is to run is brought up to date, or says then why not.
                if found.why_not_all and cell not in self.selected:
                    passed_over.setdefault(found.why_not_all, []).append(cell.name)
        for reason, names in passed_over.items():
            display.say(f"Not in the results: {', '.join(names)}. {reason}")

    def _run(self, cell: Cell, seed: int, *, of: str, display: Display) -> SeedResult:
        workplace = self.roots.of(cell)
        steps = None
        try:
            with contextlib.ExitStack() as stack:
                if workplace is not self.roots.shared:
                    stack.enter_context(file_errors.as_user_errors(place=os.fspath(workplace.root.path)))
                    stack.enter_context(workplace.lock(of_cell=cell.name))
                workplace.prepare(display)
                steps = workplace.steps(cell, display=display)
                display.say(f"{self.request.experiment.name}, {of}: {cell.name}, seed {seed}, {plural(steps, 'step')}")
                evaluated = workplace.run(cell, seed=seed, steps=steps, display=display)
        except (UserError, ProcessError) as error:
            display.say(f"{cell.name}, seed {seed} failed: {error}")
            return SeedResult(seed=seed, steps=steps, error=str(error))
        return SeedResult(seed=seed, steps=steps, measured_on=workplace.measured_on(cell), evaluated=evaluated)


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
