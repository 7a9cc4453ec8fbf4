import re
import time

from pipeline.console.estimates import Estimate


def sentences(reports, *, total, hourly_cost=None, began_s_ago=0.0):
    """Reports (seconds, done) of a clock, and returns what is said."""
    said = []
    estimate = Estimate("Trainer", say=said.append, hourly_cost=hourly_cost)
    start = round(time.monotonic()) + began_s_ago  # Whole seconds, so that their differences are exact.
    for seconds, done in reports:
        estimate.add(done, total=total, now=start + seconds)
    return said


def steady(seconds, *, per_s, first=0):
    return [(second, first + round(per_s * second)) for second in range(seconds)]


def test_a_long_stage_is_estimated_once_and_by_its_own_speed():
    """A resumed training does not count what it had done before."""
    (sentence,) = sentences(steady(200, per_s=2, first=10_000), total=10_000 + 2 * 3600)
    assert re.fullmatch(r"Trainer: about 59 min 00 s left at the speed so far, until .*\d\d:\d\d", sentence)


def test_pauses_count():
    paused = [(0, 0), (10, 10), (40, 10), (60, 20)]
    (sentence,) = sentences(paused, total=220)
    assert "about 10 min 00 s left" in sentence


def test_the_cost_is_that_of_the_whole_stage_at_the_rate_of_the_user():
    (sentence,) = sentences(steady(100, per_s=1), total=3600, hourly_cost=8.5, began_s_ago=1800)
    assert sentence.endswith("; the whole stage costs about 12.75 at 8.5 an hour")


def test_nothing_is_said_of_a_short_stage_or_before_the_speed_is_known():
    assert sentences(steady(100, per_s=1), total=300) == []
    assert sentences(steady(59, per_s=1), total=36_000) == []
    assert sentences([(0, 5), (100, 5)], total=36_000) == []


def test_a_count_that_starts_again_starts_the_clock_again():
    (sentence,) = sentences([(0, 900), (50, 0), (80, 30), (110, 60)], total=1260)
    assert "about 20 min 00 s left" in sentence
