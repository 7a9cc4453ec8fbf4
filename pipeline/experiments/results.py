"""The scores of the cells over the seeds, and what they cost."""

import dataclasses
import statistics
from collections.abc import Mapping, Sequence

from pipeline.experiments import intervals
from pipeline.experiments.experiment import BOTH, Cell, Experiment, Layout, Place
from pipeline.experiments.finished import Evaluated
from pipeline.experiments.intervals import Summary
from pipeline.runner.stage_runner import CPU_S

UNTRAINED = "untrained/"
"""The prefix of the sets of features of the encoders before training."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class SeedResult:
    """What one training of a cell has given.

    Attributes:
        seed: Its seed.
        steps: The number of steps that its budget buys; None if that is not known yet.
        measured_on: The kind of machine on which it was measured how many they are; "" if that needs no measurement.
        evaluated: What it has left; None if it has not finished.
        error: Why it failed; "" if it did not.
    """

    seed: int
    steps: int | None = None
    measured_on: str = ""
    evaluated: Evaluated | None = None
    error: str = ""

    @property
    def scores(self) -> Mapping[str, float]:
        """Set of features -> score; empty before the end."""
        return {} if self.evaluated is None else self.evaluated.metrics["scores"]

    @property
    def trained_steps(self) -> int | None:
        """The steps that were done, fewer than `steps` if the training stopped early; before the end, `steps`."""
        done = None if self.evaluated is None else self.evaluated.training.get("steps")
        return self.steps if done is None else int(done)

    @property
    def cpu_minutes(self) -> float | None:
        """Processor time of the Trainer; None if it is not known. Of a training that was resumed, its last part."""
        seconds = None if self.evaluated is None else self.evaluated.training.get(CPU_S)
        return None if seconds is None else float(seconds) / 60

    @property
    def is_resumed(self) -> bool:
        """Whether the training was stopped and went on, so that `cpu_minutes` is the time of its last part."""
        return self.evaluated is not None and bool(self.evaluated.training.get("resumption"))


@dataclasses.dataclass(frozen=True, kw_only=True)
class CellResult:
    """A cell with its trainings, in the order of the seeds.

    Attributes:
        cell: The cell.
        clips_per_step: Clips of a batch.
        runs: Its trainings.
    """

    cell: Cell
    clips_per_step: int
    runs: Sequence[SeedResult]

    @property
    def feature_sets(self) -> list[str]:
        """The sets of features of the model: each format and `both`; of an encoder that is alone, only its format."""
        scores = next((run.scores for run in self.runs if run.scores), {})
        names = [name for name in scores if UNTRAINED + name in scores]
        return [name for name in names if name != BOTH] if len(names) == 2 else names

    @property
    def steps(self) -> float | None:
        """Mean number of steps of the trainings that have finished; before the first one, the number that is planned.

        It is an int where it is whole. The seeds differ only where `trainer.patience` has stopped some of them early.
        """
        runs = [run for run in self.runs if run.evaluated is not None] or self.runs
        known = [run.trained_steps for run in runs if run.trained_steps is not None]
        return statistics.mean(known) if known else None

    @property
    def cpu_minutes(self) -> float | None:
        """Mean processor time of the trainings that were never stopped; None if it is not known of any."""
        minutes = [run.cpu_minutes for run in self.runs if run.cpu_minutes is not None and not run.is_resumed]
        return sum(minutes) / len(minutes) if minutes else None

    @property
    def errors(self) -> list[str]:
        """What failed, one sentence for each training."""
        return [f"{self.cell.name}, seed {run.seed}: {run.error}" for run in self.runs if run.error]

    def by_seed(self, features: str = BOTH) -> dict[int, float]:
        """Returns seed -> score of a set of features, of the trainings that have finished."""
        return {run.seed: run.scores[features] for run in self.runs if features in run.scores}

    def summary(self, features: str = BOTH) -> Summary | None:
        """Returns the score of a set of features over the seeds, or None if none has finished."""
        return intervals.summarize(list(self.by_seed(features).values()))


@dataclasses.dataclass(frozen=True, kw_only=True)
class Results:
    """What an experiment has given so far.

    Attributes:
        experiment: The experiment.
        layout: Its cells and places.
        cells: Name of a cell -> its result, of all cells in their order.
        settings: Preset, data, budget and the like, as JSON values.
        clips: Number of clips of the train split.
    """

    experiment: Experiment
    layout: Layout
    cells: Mapping[str, CellResult]
    settings: Mapping[str, object]
    clips: int

    @property
    def metric(self) -> str:
        """The metric of the scores, "accuracy" or "mAP"; "score" before the first one."""
        return self._of_metrics("metric") or "score"

    @property
    def probe(self) -> str:
        """The probe, "linear" or "mlp"; "" before the first score."""
        return self._of_metrics("probe")

    @property
    def errors(self) -> list[str]:
        """What failed."""
        return [error for result in self.cells.values() for error in result.errors]

    @property
    def machines(self) -> dict[str, list[str]]:
        """Kind of machine on which the cost of a step was measured -> names of the cells that have scores."""
        found: dict[str, list[str]] = {}
        for name, result in self.cells.items():
            for kind in sorted({run.measured_on for run in result.runs if run.evaluated is not None} - {""}):
                found.setdefault(kind, []).append(name)
        return found

    def summary(self, place: Place) -> Summary | None:
        """Returns the score that stands at a place, or None if there is none."""
        return self.cells[place.cell].summary(place.features) if place.cell else None

    def passes(self, result: CellResult) -> float | None:
        """Returns how often a training passes over the train split."""
        per_pass = self.clips // result.clips_per_step if result.clips_per_step else 0
        return result.steps / per_pass if result.steps and per_pass else None

    def difference(self, result: CellResult) -> Summary | None:
        """Returns by how much a cell is better than the reference, seed by seed, or None if they share no seed."""
        reference = self.cells.get(self.experiment.reference)
        if reference is None or result.cell.name == reference.cell.name:
            return None
        ours, theirs = result.by_seed(), reference.by_seed()
        return intervals.summarize([score - theirs[seed] for seed, score in ours.items() if seed in theirs])

    def _of_metrics(self, key: str) -> str:
        for result in self.cells.values():
            for run in result.runs:
                if run.evaluated is not None:
                    return str(run.evaluated.metrics.get(key) or "")
        return ""
