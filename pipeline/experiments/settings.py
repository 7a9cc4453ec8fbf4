"""The config of each training of an experiment."""

import json
from collections.abc import Collection, Iterator, Mapping, Sequence

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
    """Returns the dotted names that overrides set.

    Args:
        assignments: Such as "trainer.batch_size=64"; the value may also be a whole section, as a JSON object.
    """
    names: list[str] = []
    for assignment in assignments:
        name, _, text = assignment.partition("=")
        try:
            value = json.loads(text)
        except json.JSONDecodeError:
            value = text
        names += _leaves(name.strip(), value)
    return names


def _leaves(name: str, value: object) -> Iterator[str]:
    """Yields the dotted names of the fields of a section, or the name of a single field."""
    if not isinstance(value, Mapping) or not value:
        yield name
        return
    for key, inner in value.items():
        yield from _leaves(f"{name}.{key}", inner)


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
        if all(_sets(cell, field) for cell in selected):
            others = [cell.name for cell in cells if not _sets(cell, field)]
            way_out = f", or choose cells that leave it alone with --only, such as {others[0]}" if others else ""
            raise UserError(f"{field} is what {experiment} varies: leave it out{way_out}.")


def _sets(cell: Cell, field: str) -> bool:
    """Returns whether a cell sets a field, by itself or with its section."""
    return any(field == own or field.startswith(f"{own}.") for own in (*cell.fields, *cell.shares))


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
