"""How long a stage will take by its last run under the same root, and what that costs."""

import dataclasses

from components import text
from pipeline.console import estimates
from pipeline.console.durations import duration
from pipeline.metadata.executions import Execution
from pipeline.metadata.history import History
from pipeline.runner.preparation import Preparation
from pipeline.runner.stage_runner import UNIT_S


@dataclasses.dataclass(frozen=True, kw_only=True)
class Expected:
    """How long a stage will take.

    Attributes:
        seconds: The time.
        sentence: The same for people, with what it is known from.
    """

    seconds: float
    sentence: str

    def with_cost(self, hourly_cost: float | None) -> str:
        """Returns the sentence with what the stage costs at a rate, if that is known."""
        if hourly_cost is None:
            return self.sentence
        return f"{self.sentence}; costs {estimates.cost(self.seconds, hourly_cost)}"


def of(prepared: Preparation) -> Expected | None:
    """Returns what the last run tells of the next one; None if the stage has not finished here yet.

    If the configs differ in nothing but `Component.amount`, a part of the time is in proportion to it. None, too, if it
    is not known which.
    """
    last = next(prepared.history.finished_itself(), None)
    if last is None:
        return None
    attempts = _attempts(last, history=prepared.history)
    seconds = sum(one.seconds for one in attempts)
    amounts = _amounts(prepared, last)
    if amounts is not None:
        return _scaled(seconds, *amounts, unit=prepared.component.amount, unit_s=last.figures.get(UNIT_S))
    # What was killed could not record its time.
    at_least = "" if all(one.seconds for one in attempts) else "at least "
    times = f", in {len(attempts)} attempts" if len(attempts) > 1 else ""
    return Expected(seconds=seconds, sentence=f"took {at_least}{duration(seconds)} when it last ran{times}")


def _scaled(seconds: float, now: int, before: int, *, unit: str, unit_s: float | None) -> Expected | None:
    """Returns how long `now` units take, of which `before` took `seconds` with all that a stage does besides."""
    if unit_s is None:
        return None
    besides = max(0.0, seconds - before * unit_s)
    scaled = besides + now * unit_s
    amount = text.plural(now, unit.removesuffix("s"))
    return Expected(
        seconds=scaled, sentence=f"about {duration(scaled)} for {amount}, as {before:,} took {duration(seconds)}"
    )


def _attempts(last: Execution, *, history: History) -> list[Execution]:
    """Returns an execution and those that it continued."""
    finished_before = (one.id for one in history.finished_itself(cache_key=last.cache_key.digest) if one.id != last.id)
    since = next(finished_before, 0)
    stopped = history.unfinished(cache_key=last.cache_key.digest)
    return [last, *(one for one in stopped if since < one.id < last.id)]


def _amounts(prepared: Preparation, last: Execution) -> tuple[int, int] | None:
    """Returns how much the stage has to do and how much it did in its last run, or None if that tells nothing."""
    field, config = prepared.component.amount, prepared.key.config
    before = last.cache_key.config
    if not field or {**before, field: config[field]} != config or before.get(field) == config[field]:
        return None
    source = None
    if last.cache_key.extended:
        source = prepared.history.last_finished(cache_key=last.cache_key.extended)
        if source is None:
            return None
    now = config[field] - (prepared.extended.cache_key.config[field] if prepared.extended else 0)
    done = last.figures.get(field, before[field]) - (source.cache_key.config[field] if source else 0)
    return (now, done) if now > 0 and done > 0 else None
