"""Sums of the logs between two points in TensorBoard."""

import dataclasses
import time
from collections.abc import Mapping


@dataclasses.dataclass(frozen=True, kw_only=True)
class IntervalMeans:
    """Means over the steps of an interval.

    Attributes:
        figures: The mean logs without `input_wait_s`, and `clips_per_s`.
        step_seconds: Where the time of a step went: "input" (waiting for it), "device" (the rest of the compiled loop)
            and "host" (everything between its calls).
    """

    figures: dict[str, float]
    step_seconds: dict[str, float]


class LogInterval:
    """Sums logs and times over the steps since the last point. It begins on construction.

    Args:
        clips_per_step: Clips in a step.
    """

    def __init__(self, *, clips_per_step: int):
        self._clips_per_step = clips_per_step
        self._sums: dict[str, float] = {}
        self._steps = 0
        self._loop_s = 0.0
        self._started = time.monotonic()

    def add(self, logs: Mapping[str, float], *, steps: int, loop_s: float) -> None:
        """Adds a call of the compiled loop.

        Args:
            logs: Mean logs of its steps.
            steps: Number of its steps.
            loop_s: Duration of the call in seconds.
        """
        for name, value in logs.items():
            self._sums[name] = self._sums.get(name, 0.0) + steps * value
        self._steps += steps
        self._loop_s += loop_s

    def means(self) -> IntervalMeans:
        """Returns the means over all steps that were added, of which there is at least one."""
        figures = {name: value / self._steps for name, value in self._sums.items()}
        step_s = (time.monotonic() - self._started) / self._steps
        loop_s = self._loop_s / self._steps
        input_s = figures.pop("input_wait_s")
        figures["clips_per_s"] = self._clips_per_step / step_s
        return IntervalMeans(
            figures=figures, step_seconds={"input": input_s, "device": loop_s - input_s, "host": step_s - loop_s}
        )
