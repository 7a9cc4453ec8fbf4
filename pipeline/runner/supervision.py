"""How a run looks after its stages: retries, time limits, alarms and costs, as the flags of `diptych run` ask for."""

import dataclasses
import math
from collections.abc import Mapping, Sequence

from components.errors import UserError
from pipeline.runner.graph import Pipeline


@dataclasses.dataclass(frozen=True, kw_only=True)
class Supervision:
    """How a run looks after its stages.

    Attributes:
        retries: How often a stage runs again after an error that may pass by itself.
        minutes: Name of a stage -> how long it may take in a run, with its retries.
        stall_minutes: Time without progress after which that is said; 0 for never.
        hourly_costs: Name of a stage -> what an hour of its machines costs, in any currency.
    """

    retries: int = 0
    minutes: Mapping[str, float] = dataclasses.field(default_factory=dict)
    stall_minutes: float = 0.0
    hourly_costs: Mapping[str, float] = dataclasses.field(default_factory=dict)

    def of_display(self, stage: str) -> dict[str, float | None]:
        """Returns what `Display.stage` has to know of a stage's stall alarm and cost, as keyword arguments."""
        return {"stall_s": 60 * self.stall_minutes, "hourly_cost": self.hourly_costs.get(stage)}


def parse(
    pipeline: Pipeline,
    *,
    retries: int,
    time_limits: Sequence[str],
    stall_minutes: float,
    hourly_costs: Sequence[str],
) -> Supervision:
    """Returns what the flags of `diptych run` ask for. Each limit and each cost is STAGE=NUMBER.

    Raises:
        UserError: There is no such stage, or a number makes no sense.
    """
    if retries < 0:
        raise UserError(f"--retries {retries}: give 0 for none, or a number of retries.")
    _check_stall_minutes(stall_minutes)
    return Supervision(
        retries=retries,
        minutes=_by_stage(pipeline, time_limits, flag="--time-limit", unit="MINUTES"),
        stall_minutes=stall_minutes,
        hourly_costs=_by_stage(pipeline, hourly_costs, flag="--hourly-cost", unit="COST"),
    )


def of_one(stage: str, *, stall_minutes: float, hourly_cost: float | None) -> Supervision:
    """Returns what the flags of a command that runs one stage ask for.

    Raises:
        UserError: A number makes no sense.
    """
    _check_stall_minutes(stall_minutes)
    if hourly_cost is not None and not 0 < hourly_cost < math.inf:
        raise UserError(f"--hourly-cost {hourly_cost:g}: give a number above 0, in any currency.")
    return Supervision(stall_minutes=stall_minutes, hourly_costs={} if hourly_cost is None else {stage: hourly_cost})


def _check_stall_minutes(minutes: float) -> None:
    if not 0 <= minutes < math.inf:
        raise UserError(f"--stall-alarm {minutes:g}: give a number of minutes, or 0 for no alarm.")


def _by_stage(pipeline: Pipeline, texts: Sequence[str], *, flag: str, unit: str) -> dict[str, float]:
    values = {}
    for text in texts:
        stage, equals, number = text.partition("=")
        try:
            value = float(number)
        except ValueError:
            value = math.nan
        if not equals or not 0 < value < math.inf:
            raise UserError(f"{flag} {text}: write it as STAGE={unit}, with a number above 0, e.g. Trainer=90.")
        values[pipeline.find(stage, flag=flag)] = value
    return values
