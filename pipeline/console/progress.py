"""Progress of a stage: a live line on a terminal, plain lines otherwise and always in the log file."""

import collections
import contextlib
import threading
import time
from collections.abc import Iterator

import rich.progress
from absl import logging
from rich.console import Console
from rich.markup import escape

LINE_EVERY_S = 10.0
DRAW_EVERY_S = 0.2
RATE_OVER_S = 60.0
RATE_FROM = 10  # Fewer units than this have no rate worth telling.


class Meter:
    """Rate and time left, from (done, total) as they are reported.

    The rate is that of the last minute, so that neither a slow start nor work found done already distorts it.
    """

    def __init__(self) -> None:
        self._points: collections.deque[tuple[float, int]] = collections.deque()

    def add(self, done: int, *, now: float) -> None:
        """Takes a report at `now`, in seconds of any clock."""
        if self._points and done < self._points[-1][1]:
            self._points.clear()  # A new count began.
        self._points.append((now, done))
        while len(self._points) > 2 and now - self._points[1][0] > RATE_OVER_S:
            self._points.popleft()

    @property
    def rate(self) -> float | None:
        """Units per second; None until it can be told."""
        if len(self._points) < 2:
            return None
        (start, first), (end, last) = self._points[0], self._points[-1]
        return (last - first) / (end - start) if end > start and last > first else None

    def seconds_left(self, total: int) -> float | None:
        """Until `total` at the present rate."""
        rate = self.rate
        return (total - self._points[-1][1]) / rate if rate else None


class StageProgress:
    """The `components.base.Progress` of one stage."""

    def __init__(self, stage: str, *, console: Console, bar: rich.progress.Progress | None):
        self._stage, self._console, self._bar = stage, console, bar
        self._task = bar.add_task(stage, total=None, text="") if bar else None
        self._meter, self._lock = Meter(), threading.Lock()
        self._drawn = self._lined = float("-inf")
        self._ended = False

    def update(self, done: int, *, total: int, unit: str, **figures: float | int | str) -> None:
        """See `components.base.Progress`."""
        now = time.monotonic()
        with self._lock:
            ended = done >= total
            draw = self._bar is not None and (ended or now - self._drawn >= DRAW_EVERY_S)
            line = now - self._lined >= LINE_EVERY_S or (ended and not self._ended)
            self._ended = ended
            if not (draw or line):
                return
            self._meter.add(done, now=now)
            text = self._text(done, total=total, unit=unit, figures=figures)
            if draw:
                self._drawn = now
                self._bar.update(self._task, completed=done, total=total, text=escape(text))
            if line:
                self._lined = now
                logging.info("%s: %s", self._stage, text)
                if self._bar is None:
                    self._console.print(f"{self._stage}: {text}", markup=False, highlight=False, soft_wrap=True)

    def _text(self, done: int, *, total: int, unit: str, figures: dict[str, float | int | str]) -> str:
        parts = [f"{done:,}/{total:,} {unit}"]
        parts += [f"{name} {_figure(value)}" for name, value in figures.items()]
        if total >= RATE_FROM and (rate := self._meter.rate) is not None:
            parts.append(f"{_figure(rate)} {unit}/s")
        left = self._meter.seconds_left(total)
        if left is not None and done < total:
            parts.append(f"{duration(left)} left")
        return ", ".join(parts)


class Display:
    """Shows stages as they start, go on and end.

    Args:
        console: Where to; plain lines are written if it is no terminal.
    """

    def __init__(self, console: Console | None = None):
        self.console = console or Console()

    def say(self, text: str) -> None:
        """One line, on the console and in the log file."""
        logging.info("%s", text)
        self.console.print(text, markup=False, highlight=False, soft_wrap=True)

    @contextlib.contextmanager
    def stage(self, stage: str) -> Iterator[StageProgress]:
        """The progress of a stage while it runs."""
        if not self.console.is_terminal:
            yield StageProgress(stage, console=self.console, bar=None)
            return
        bar = rich.progress.Progress(
            rich.progress.SpinnerColumn(),
            rich.progress.TextColumn("{task.description}"),
            rich.progress.BarColumn(bar_width=20),
            rich.progress.TextColumn("{task.fields[text]}"),
            rich.progress.TimeElapsedColumn(),
            console=self.console,
            transient=True,
            refresh_per_second=4,
        )
        with bar:
            yield StageProgress(stage, console=self.console, bar=bar)


def duration(seconds: float) -> str:
    """Seconds for people: "0.4 s", "12 s", "3 min 05 s", "1 h 02 min"."""
    if seconds < 9.95:
        return f"{seconds:.1f} s"
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60:02d} s"
    return f"{whole // 3600} h {whole % 3600 // 60:02d} min"


def _figure(value: float | int | str) -> str:
    if isinstance(value, str):
        return value
    return f"{value:,}" if isinstance(value, int) else f"{value:,.4g}" if abs(value) < 1000 else f"{value:,.0f}"
