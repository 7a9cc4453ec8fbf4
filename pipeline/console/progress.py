"""Shows the progress of a stage: a live line on a terminal, plain lines elsewhere, and lines in the log file."""

import collections
import contextlib
import os
import threading
import time
from collections.abc import Callable, Iterator, Mapping

import rich.progress
from absl import logging
from rich.console import Console
from rich.markup import escape
from rich.table import Column

from pipeline.console.durations import duration
from pipeline.console.estimates import Estimate
from pipeline.console.stalls import StallWatch

LINE_INTERVAL_S = 10.0
DRAW_INTERVAL_S = 0.2
RATE_WINDOW_S = 60.0

MIN_WIDTH_FOR_BAR = 100
"""On a narrower terminal, the live line is the numbers alone."""

MIN_UNITS_FOR_RATE = 10
"""With fewer units in total, a rate says nothing."""


class Meter:
    """Computes a rate and the time left from reports of the number of units done.

    The rate is that of the last minute, so that neither a slow start nor work that was done before distorts it.
    """

    def __init__(self) -> None:
        self._reports: collections.deque[tuple[float, int]] = collections.deque()
        """(time in seconds, units done), oldest first."""

    def add(self, done: int, *, now: float) -> None:
        """Adds a report.

        Args:
            done: Number of units done. A lower number than before starts a new count.
            now: Time in seconds of any clock.
        """
        if self._reports and done < self._reports[-1][1]:
            self._reports.clear()
        self._reports.append((now, done))
        while len(self._reports) > 2 and now - self._reports[1][0] > RATE_WINDOW_S:
            self._reports.popleft()

    @property
    def rate(self) -> float | None:
        """Units per second, or None if it is not known yet."""
        if len(self._reports) < 2:
            return None
        start, done_at_start = self._reports[0]
        end, done_at_end = self._reports[-1]
        if end <= start or done_at_end <= done_at_start:
            return None
        return (done_at_end - done_at_start) / (end - start)

    def seconds_left(self, total: int) -> float | None:
        """Returns the time until `total` units are done at the current rate, or None if the rate is not known yet."""
        rate = self.rate
        if rate is None:
            return None
        _, done = self._reports[-1]
        return (total - done) / rate


class StageProgress:
    """Shows the progress of one stage. Implements `components.base.Progress`.

    Args:
        stage: Name of the stage.
        console: Gets plain lines if there is no bar.
        bar: The live line, on a terminal.
        watch: Gets the progress, too, to say when there is none.
        estimate: Gets the progress, too, to say once how long the stage will take.
    """

    def __init__(
        self,
        stage: str,
        *,
        console: Console,
        bar: rich.progress.Progress | None,
        watch: StallWatch | None = None,
        estimate: Estimate | None = None,
    ):
        self._stage, self._watch, self._estimate = stage, watch, estimate
        self._console = console
        self._bar = bar
        self._task = None if bar is None else bar.add_task(stage, total=None, text="")
        self._meter = Meter()
        self._lock = threading.Lock()
        self._last_draw = float("-inf")
        self._last_line = float("-inf")
        self._has_ended = False
        self._first: tuple[int, float] | None = None
        self._last: tuple[int, float] | None = None

    @property
    def seconds_per_unit(self) -> float | None:
        """How long a unit took from the first report on, before which the stage starts; None if that tells nothing."""
        if self._first is None or self._last is None or self._last[0] <= self._first[0]:
            return None
        return (self._last[1] - self._first[1]) / (self._last[0] - self._first[0])

    def update(self, done: int, *, total: int, unit: str, **figures: float | int | str) -> None:
        """See `components.base.Progress`."""
        if self._watch is not None:
            self._watch.progressed(done, where=f"{done:,}/{total:,} {unit}")
        now = time.monotonic()
        self._last = (done, now)
        self._first = self._first or self._last
        if self._estimate is not None:
            self._estimate.add(done, total=total, now=now)
        with self._lock:
            ends = done >= total
            draws = self._bar is not None and (ends or now - self._last_draw >= DRAW_INTERVAL_S)
            writes_line = now - self._last_line >= LINE_INTERVAL_S or (ends and not self._has_ended)
            self._has_ended = ends
            if not draws and not writes_line:
                return
            self._meter.add(done, now=now)
            text = self._text(done, total=total, unit=unit, figures=figures)
            if draws:
                self._last_draw = now
                self._bar.update(self._task, completed=done, total=total, text=escape(text))
            if writes_line:
                self._last_line = now
                self._write_line(text)

    def _write_line(self, text: str) -> None:
        logging.info("%s: %s", self._stage, text)
        if self._bar is None:
            self._console.print(f"{self._stage}: {text}", markup=False, highlight=False, soft_wrap=True)

    def _text(self, done: int, *, total: int, unit: str, figures: Mapping[str, float | int | str]) -> str:
        parts = [f"{done:,}/{total:,} {unit}"]
        parts += [f"{name} {_shown(value)}" for name, value in figures.items()]
        rate = self._meter.rate
        if rate is not None and total >= MIN_UNITS_FOR_RATE:
            parts.append(f"{_shown(rate)} {unit}/s")
        seconds_left = self._meter.seconds_left(total)
        if seconds_left is not None and done < total:
            parts.append(f"{duration(seconds_left)} left")
        return ", ".join(parts)


class _TerminalConsole(Console):
    """A console that falls silent when its terminal or pipe is gone, so that the run goes on without it."""

    def _check_buffer(self) -> None:  # rich writes nowhere else.
        try:
            super()._check_buffer()
        except OSError:
            self._fall_silent()

    def on_broken_pipe(self) -> None:
        self._fall_silent()

    def _fall_silent(self) -> None:
        self.quiet = True
        del self._buffer[:]
        with contextlib.suppress(OSError), open(os.devnull, "w") as nowhere:
            # What Python still holds back cannot be written when the process ends.
            os.dup2(nowhere.fileno(), self.file.fileno())
        logging.info("the terminal is gone: the progress is no longer shown")


class Display:
    """Shows stages when they start, while they run and when they end.

    Args:
        console: Where to. Anything but a terminal gets plain lines.
        stderr: Whether standard error is the default, and not standard output.
    """

    def __init__(self, console: Console | None = None, *, stderr: bool = False):
        self.console = console or _TerminalConsole(stderr=stderr)

    def say(self, text: str) -> None:
        """Writes one line to the console and to the log file."""
        logging.info("%s", text)
        self.console.print(text, markup=False, highlight=False, soft_wrap=True)

    @contextlib.contextmanager
    def stage(
        self,
        stage: str,
        *,
        stall_s: float = 0.0,
        on_stall: Callable[[str], None] = lambda text: None,
        hourly_cost: float | None = None,
    ) -> Iterator[StageProgress]:
        """Yields the progress of a stage, which is shown until the block ends.

        Args:
            stage: Name of the stage.
            stall_s: Time without progress after which that is said, in seconds; 0 for never.
            on_stall: Called with the same sentence, in another thread.
            hourly_cost: What an hour of the stage costs, for the estimate; None if that is not known.
        """

        def tell(text: str) -> None:
            self.say(text)
            on_stall(text)

        with contextlib.ExitStack() as stack:
            bar = None
            if self.console.is_terminal:
                columns = _bar_columns(wide=self.console.width >= MIN_WIDTH_FOR_BAR)
                bar = rich.progress.Progress(*columns, console=self.console, transient=True, refresh_per_second=4)
                stack.enter_context(bar)
            watch = stack.enter_context(StallWatch(stage, after_s=stall_s, tell=tell)) if stall_s else None
            estimate = Estimate(stage, say=self.say, hourly_cost=hourly_cost)
            yield StageProgress(stage, console=self.console, bar=bar, watch=watch, estimate=estimate)


def _bar_columns(*, wide: bool) -> list[rich.progress.ProgressColumn]:
    """Returns the parts of the live line. Numbers that do not fit into the line continue below it."""
    stage = rich.progress.TextColumn("{task.description}")
    text = rich.progress.TextColumn("{task.fields[text]}", table_column=Column(overflow="fold"))
    if not wide:
        return [stage, text]
    return [
        rich.progress.SpinnerColumn(),
        stage,
        rich.progress.BarColumn(bar_width=20),
        text,
        rich.progress.TimeElapsedColumn(),
    ]


def _shown(value: float | int | str) -> str:
    if isinstance(value, str):
        return value
    if isinstance(value, int):
        return f"{value:,}"
    if abs(value) < 1000:
        return f"{value:,.4g}"
    return f"{value:,.0f}"
