"""A root in which cells run, with what they share there: the examples, and what a step costs."""

import contextlib
import os
import pathlib
import time
from collections.abc import Collection, Iterator

from etils import epath

from beam_jobs import examples
from beam_jobs.statistics import example_statistics
from components.errors import UserError
from components.evaluator import labels
from components.evaluator.probes import choice
from components.trainer import TrainerConfig
from pipeline import dag, file_lock
from pipeline.commands import exit_status, running
from pipeline.configs.config import PipelineConfig
from pipeline.console.progress import Display
from pipeline.experiments import calibration, finished, processes, settings
from pipeline.experiments.budget import Budget
from pipeline.experiments.costs import Costs
from pipeline.experiments.experiment import Cell
from pipeline.experiments.finished import Evaluated
from pipeline.metadata.executions import Artifact
from pipeline.metadata.store import MetadataStore
from pipeline.root import Root

_SHARED_STAGE = "ExampleValidator"
"""The last stage that all cells have in common."""

_WAIT_S = 90.0
"""Time for which a root that is in use is waited for. A training that was cut off saves its state first."""


class Workplace:
    """A root, for cells with one base config.

    Args:
        root: The root. It is local.
        base: The config of the preset with the user's overrides.
        overridden: Dotted names of the fields that the user set.
        preset: Name of the preset.
        budget: What each training may take.
    """

    def __init__(self, root: Root, *, base: PipelineConfig, overridden: Collection[str], preset: str, budget: Budget):
        self.root = root
        self._base, self._overridden, self._preset, self._budget = base, overridden, preset, budget
        self._costs = Costs(root.experiments / "costs.json")
        self._examples: Artifact | None = None
        self._first_digest, self._clips = "", 0  # Of the examples that this command has found first.

    @property
    def clips(self) -> int:
        """Number of clips of the train split; 0 before there are examples."""
        return self._clips

    @property
    def exists(self) -> bool:
        """Whether anything has run in the root."""
        return os.path.exists(self.root.metadata_uri())

    def has_finished(self) -> bool:
        """Returns whether any training in the root has been evaluated, of whatever cell and with whatever config."""
        return self.exists and finished.has_any(self.root)

    def is_in_use(self) -> bool:
        """Returns whether another `diptych ablate` uses the root. Do not call it inside `lock`."""
        return file_lock.is_held_by_another(self._lock_file)

    @contextlib.contextmanager
    def lock(self, *, of_cell: str = "") -> Iterator[None]:
        """Keeps a second `diptych ablate` out of the root until the block ends.

        Args:
            of_cell: Name of the cell that the root belongs to; "" if it belongs to all.

        Raises:
            UserError: Another one is using it, or the folder cannot be written.
        """
        self.root.check_folder()
        with contextlib.ExitStack() as stack:
            try:
                stack.enter_context(file_lock.held(self._lock_file))
            except file_lock.HeldError as error:
                way_out = "wait for it, or let each cell have a root of its own, as --print shows"
                if of_cell:
                    way_out = f"give this command again when that has finished {of_cell}"
                raise UserError(f"Another diptych ablate ({error}) is using {self.root.path}: {way_out}.") from error
            except file_lock.NoLocksError as error:
                raise UserError(
                    f"The file system of {self.root.path} has no record locks ({error}), which keep a second command "
                    "out: give --root on another one."
                ) from error
            except OSError as error:
                raise UserError(
                    f"--root {self.root.path} cannot be used ({error.strerror}): give a folder that can be written to."
                ) from error
            yield

    def look(self) -> bool:
        """Looks whether there are examples, which is needed before the other methods, and returns whether there are.

        Raises:
            UserError: No probe can score a model on them.
        """
        if self._examples is None:
            published = finished.outputs(self.root, self._base, until=_SHARED_STAGE)
            if "StatisticsGen" not in published:
                return False
            self._check_labels(published["StatisticsGen"]["statistics"].folder)
            self._examples = published["AudioExampleGen"]["examples"]
            if not self._first_digest:
                self._first_digest = self._examples.digest
                self._clips = examples.read_info(self._examples.folder).splits.get("train", 0)
        return True

    def prepare(self, display: Display) -> None:
        """Runs the stages that all cells have in common, unless they have run.

        Call it before each training: the audio may change in the weeks that a command takes.

        Raises:
            UserError: One of them failed, no probe can score a model on the examples, or they differ from those of the
                trainings before.
        """
        self._examples = None
        self._write_examples(display)
        if self._examples.digest != self._first_digest:
            raise UserError(
                f"{self._base.audio_example_gen.source or 'The generated corpus'} has changed since this command "
                "began, and scores of other clips do not belong into the same table: restore it, or give the same "
                "command again, which trains all cells anew."
            )

    def _write_examples(self, display: Display) -> None:
        if self.look():
            return
        display.say(f"Examples for all cells, under {self.root.path}:")
        self._run(self._base, until=_SHARED_STAGE, display=display)
        if not self.look():
            raise UserError(f"{self.root.path} has no examples after they were written: run the same command again.")

    def steps(self, cell: Cell, *, display: Display | None = None) -> int | None:
        """Returns the number of steps that the budget buys for a cell.

        Args:
            cell: The cell.
            display: Where it is said that the cost of a step is measured, if it is not known. Without a display, it is
                not measured.

        Returns:
            The number, or None if the cost is not known.
        """
        trainer = self._trainer(cell)
        cost: float | None = 1.0
        if self._budget.kind == "cpu-minutes":
            digest = self._examples.digest
            cost = self._costs.find(trainer, examples=digest)
            if cost is None and display is not None:
                display.say(f"{cell.name}: measuring what a step costs")
                work = str(self.root.experiments / "calibration.tmp")
                folder = str(self._examples.folder)
                cost = self._costs.find_or_measure(
                    trainer,
                    examples=digest,
                    measure=lambda: processes.call(calibration.measure, trainer, folder, work),
                )
        if cost is None:
            return None
        return self._budget.steps(cpu_s_per_step=cost, clips=self._clips, clips_per_step=trainer.clips_per_step)

    def measured_on(self, cell: Cell) -> str:
        """Returns the kind of machine that the cost of a step was measured on; "" if the budget does not need it."""
        if self._budget.kind != "cpu-minutes":
            return ""
        return self._costs.machine(self._trainer(cell), examples=self._examples.digest)

    def find(self, cell: Cell, *, seed: int, steps: int) -> Evaluated | None:
        """Returns what a finished run has left, or None if there is none."""
        return finished.find(self.root, self._config(cell, seed=seed, steps=steps))

    def run(self, cell: Cell, *, seed: int, steps: int, display: Display) -> Evaluated:
        """Trains and evaluates a cell, or continues where that was stopped.

        Raises:
            UserError: A stage failed for a reason that the user can correct.
            ProcessError: It failed for another one.
        """
        config = self._config(cell, seed=seed, steps=steps)
        self._run(config, until=finished.LAST_STAGE, display=display)
        evaluated = finished.find(self.root, config)
        if evaluated is None:
            raise processes.ProcessError("the run has ended and left no score")
        return evaluated

    def _trainer(self, cell: Cell) -> TrainerConfig:
        """Returns the config by which the cost of a step is known, whatever the seed and the number of steps."""
        return settings.of_training(self._base, cell, seed=0, steps=1).trainer

    def _config(self, cell: Cell, *, seed: int, steps: int) -> PipelineConfig:
        return settings.of_training(self._base, cell, seed=seed, steps=steps, overridden=self._overridden)

    def _run(self, config: PipelineConfig, *, until: str, display: Display) -> None:
        self._wait_until_free(display)
        status = processes.call(run_pipeline, config, str(self.root.path), self._preset, until)
        if status == exit_status.BUG:
            raise processes.ProcessError(f"a bug in Diptych; the last log in {self.root.path / 'logs'} has it")
        if status != exit_status.OK:
            raise processes.ProcessError("it was stopped; the same command continues it")

    @property
    def _lock_file(self) -> pathlib.Path:
        return pathlib.Path(self.root.experiments, ".lock")

    def _wait_until_free(self, display: Display) -> None:
        deadline = time.monotonic() + _WAIT_S
        if self.root.is_locked():
            display.say(f"{self.root.path} is in use by another run: waiting for it")
        while self.root.is_locked():
            if time.monotonic() > deadline:
                raise UserError(
                    f"Another diptych run is using {self.root.path}: wait for it, stop it, or give another --root."
                )
            time.sleep(0.5)

    def _check_labels(self, statistics: epath.Path) -> None:
        counts = labels.from_statistics(example_statistics.read(statistics))
        chosen = choice.choose_probe(self._base.evaluator.probe, counts=counts)
        if chosen.probe is None:
            raise UserError(
                f"The cells could not be scored ({chosen.note}): give audio with labels, such as ESC-50, and leave "
                "evaluator.probe as it is."
            )


def run_pipeline(config: PipelineConfig, root: str, preset: str, until: str) -> int:
    """Runs the pipeline up to a stage and returns the exit status. It runs in a process of its own.

    Raises:
        UserError: A stage raised it, or the root is in use.
    """
    place = Root(epath.Path(root))
    uri = place.metadata_uri()
    return running.run(
        dag.create_pipeline(config),
        root=place,
        open_store=lambda: MetadataStore(uri, pipeline=place.name, root=place.path),
        typed=("ablate", "--root", root),
        config=config,
        preset=preset,
        until_stage=until,
        is_part=True,
    )
