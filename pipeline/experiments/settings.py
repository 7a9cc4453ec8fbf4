"""The config of each training of an experiment."""

from collections.abc import Collection, Sequence

from components.errors import UserError
from pipeline.configs import overrides
from pipeline.configs.config import PipelineConfig
from pipeline.experiments.experiment import Cell

_VALIDATIONS = 4
"""A training that is too short for the intervals of its preset is validated so many times."""

_POINTS = 20
"""The same for points in TensorBoard."""

_FLAGS = {"trainer.steps": "--budget", "trainer.seed": "--seeds"}
"""Fields that a flag sets -> that flag."""


def fields_of(assignments: Sequence[str]) -> list[str]:
    """Returns the dotted names of fields and sections that overrides such as "trainer.batch_size=64" set."""
    return [assignment.partition("=")[0].strip() for assignment in assignments]


def check_overrides(
    assignments: Sequence[str], *, selected: Sequence[Cell], cells: Sequence[Cell], experiment: str
) -> None:
    """Checks that overrides change what is compared.

    Args:
        assignments: The overrides.
        selected: The cells that are to run.
        cells: All cells of the experiment.
        experiment: Its name, for messages.

    Raises:
        UserError: A flag or every cell sets the field, or it would let a training begin elsewhere.
    """
    for field in fields_of(assignments):
        if field == "trainer.extend":
            raise UserError(f"{field}: every training of an experiment begins from the start: leave it out.")
        if field in _FLAGS:
            raise UserError(f"{field} follows from {_FLAGS[field]} here: give that in place of the override.")
        inner = [name for name in _FLAGS if name.startswith(f"{field}.")]
        inner += [name for cell in selected for name in _varied(cell) if name.startswith(f"{field}.")]
        if inner:
            raise UserError(
                f"{field} is a section with {inner[0]}, which {experiment} sets itself: set its other fields one by "
                "one."
            )
        if all(_sets(cell, field) for cell in selected):
            others = [cell.name for cell in cells if not _sets(cell, field)]
            way_out = f", or choose cells that leave it alone with --only, such as {others[0]}" if others else ""
            raise UserError(f"{field} is what {experiment} varies: leave it out{way_out}.")


def _varied(cell: Cell) -> tuple[str, ...]:
    return (*cell.fields, *cell.shares)


def _sets(cell: Cell, field: str) -> bool:
    """Returns whether a cell sets a field, by itself or with its section."""
    return any(field == own or field.startswith(f"{own}.") for own in _varied(cell))


def of_training(
    base: PipelineConfig, cell: Cell, *, seed: int, steps: int, overridden: Collection[str] = ()
) -> PipelineConfig:
    """Returns the config of one training.

    Args:
        base: The config of the preset with the user's overrides.
        cell: The cell.
        seed: Seed of the training.
        steps: Number of its steps.
        overridden: Dotted names of the fields that the user set. They stay, whatever the number of steps.

    Raises:
        UserError: A value of the cell does not fit the config.
    """
    changes = {
        **cell.fields,
        **{field: max(1, round(share * steps)) for field, share in cell.shares.items()},
        "trainer.extend": False,  # A root may hold the same cell with a smaller budget.
        "trainer.seed": seed,
        "trainer.steps": steps,
    }
    for name, times in (("eval_every", _VALIDATIONS), ("checkpoint_every", _VALIDATIONS), ("log_every", _POINTS)):
        field = f"trainer.{name}"
        if field not in overridden and field not in changes:
            changes[field] = min(getattr(base.trainer, name), max(1, steps // times))
    return overrides.replace(base, changes)
