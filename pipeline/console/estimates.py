"""Says once, when the speed of a long stage is known, how long it will take and what it will cost."""

import time
from collections.abc import Callable

from pipeline.console.durations import duration

MEASURED_S = 60.0
"""How long the speed is measured. The first report starts the clock, so that what comes before it does not count."""

WORTH_SAYING_S = 300.0
"""Stages that are done sooner need no estimate."""


class Estimate:
    """Measures the speed of a stage, and says the estimate.

    It is the mean speed since the first report, so pauses such as validations count as far as they have come by then.

    Args:
        stage: Name of the stage.
        say: Called with the sentence, at most once.
        hourly_cost: What an hour of the stage costs, in any currency; None if that is not known.
    """

    def __init__(self, stage: str, *, say: Callable[[str], None], hourly_cost: float | None = None):
        self._stage, self._say, self._hourly_cost = stage, say, hourly_cost
        self._began = time.monotonic()
        self._first: tuple[float, int] | None = None
        self._is_said = False

    def add(self, done: int, *, total: int, now: float) -> None:
        """Adds a report of progress; see `components.base.Progress`. `now` is that of `time.monotonic`."""
        if self._is_said:
            return
        if self._first is None or done < self._first[1]:
            self._first = now, done
        started, done_before = self._first
        if now - started < MEASURED_S or done == done_before:
            return
        self._is_said = True
        left_s = (total - done) * (now - started) / (done - done_before)
        if left_s >= WORTH_SAYING_S:
            self._say(self._sentence(left_s, whole_s=now - self._began + left_s))

    def _sentence(self, left_s: float, *, whole_s: float) -> str:
        end = time.localtime(time.time() + left_s)
        form = "%H:%M" if end.tm_yday == time.localtime().tm_yday else "%Y-%m-%d %H:%M"
        sentence = f"{self._stage}: about {duration(left_s)} left at the speed so far, until {time.strftime(form, end)}"
        if self._hourly_cost is not None:
            sentence += f"; the whole stage costs {cost(whole_s, self._hourly_cost)}"
        return sentence


def cost(seconds: float, hourly_cost: float) -> str:
    """Returns what a time costs, for people: "about 12.75 at 8.5 an hour"."""
    return f"about {seconds / 3600 * hourly_cost:,.2f} at {hourly_cost:g} an hour"
