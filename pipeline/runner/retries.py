"""Runs a stage again after an error that may pass by itself, after a while that grows from try to try."""

import random
import time
from collections.abc import Callable

from absl import logging

from components import file_errors, passing_errors
from components.errors import UserError
from pipeline.console.durations import duration
from pipeline.metadata.executions import Execution
from pipeline.runner import stage_runner

FIRST_DELAY_S = 10.0
FACTOR = 3.0
LONGEST_DELAY_S = 300.0
JITTER = 0.2
"""Share by which a delay is longer or shorter at random, so that many runs do not come back at once."""


def run(attempt: Callable[[str], Execution], *, stage: str, retries: int, say: Callable[[str], None]) -> Execution:
    """Returns what `attempt` returns.

    Args:
        attempt: Runs the stage. It gets the reason why the stage runs again, or "" the first time. Each attempt is
            recorded as an execution of its own, and goes on in the work folder of the one before.
        stage: Name of the stage.
        retries: How often it may run again.
        say: Called with a sentence before a delay.

    Raises:
        Exception: That of the last attempt, or the first one that does not pass by itself.
    """
    why = ""
    for number in range(1, retries + 1):
        try:
            return attempt(why)
        except Exception as error:
            if not passing_errors.may_pass(error):
                raise
            # Without the way out that the user would read at the end, which is to run the same command again.
            reason = file_errors.reason(error) if isinstance(error, UserError) else stage_runner.one_line(error)
            logging.info("%s failed: %s", stage, reason, exc_info=error)
            delay_s = _delay_s(number)
            say(f"{stage}: failed ({reason}); this may pass, so it runs again in {duration(delay_s)}")
            time.sleep(delay_s)
            why = f"retry {number} of {retries}"
    return attempt(why)


def _delay_s(number: int) -> float:
    """Returns how long to wait before a retry, the first of which has the number 1."""
    delay_s = min(FIRST_DELAY_S * FACTOR ** (number - 1), LONGEST_DELAY_S)
    return delay_s * random.uniform(1 - JITTER, 1 + JITTER)
