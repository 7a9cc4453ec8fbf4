import io
import os
import pty
import sys

import pytest
from absl import logging
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console

from pipeline.console import logs, progress


@given(rate=st.floats(0.1, 1e4), start=st.integers(0, 1000))
def test_rate_and_time_left_ignore_what_was_done_before_the_start(rate, start):
    meter = progress.Meter()
    for second in range(3):
        meter.add(start + round(rate * second * 100), now=second * 100.0)
    assert meter.rate == pytest.approx(rate, rel=0.1)
    done = start + round(rate * 200)
    assert meter.seconds_left(done + 1000) == pytest.approx(1000 / meter.rate)


def test_the_rate_is_that_of_the_last_minute():
    meter = progress.Meter()
    for second in range(0, 300, 10):
        meter.add(second if second < 150 else 150 + 10 * (second - 150), now=float(second))
    assert meter.rate == pytest.approx(10)


def test_a_lower_count_starts_a_new_rate():
    meter = progress.Meter()
    meter.add(100, now=0.0)
    meter.add(1, now=1.0)
    assert meter.rate is None
    meter.add(3, now=2.0)
    assert meter.rate == pytest.approx(2)


def test_plain_lines_go_to_the_log_and_to_what_is_not_a_terminal(tmp_path):
    out = io.StringIO()
    console = Console(file=out, width=40)
    display = progress.Display(console)
    with logs.to_file(tmp_path / "run.log", console=console), display.stage("Trainer") as stage:
        for step in range(1, 5001):
            stage.update(step, total=5000, unit="steps", loss=5.25, note="a [b]")
        logging.warning("take care of %s", "[this]")
        logging.info("not for the terminal")
    lines = out.getvalue().splitlines()
    assert lines[0] == "Trainer: 1/5,000 steps, loss 5.25, note a [b]"
    assert lines[1].startswith("Trainer: 5,000/5,000 steps, loss 5.25, note a [b], ")
    assert len(lines) == 2, "warnings of code outside our packages stay in the log"
    log = (tmp_path / "run.log").read_text()
    assert all(line in log for line in lines[:2])
    assert "take care of [this]" in log
    assert "not for the terminal" in log


def test_a_terminal_gets_a_live_line():
    out = io.StringIO()
    display = progress.Display(Console(file=out, force_terminal=True, width=120))
    with display.stage("Trainer") as stage:
        stage.update(30, total=60, unit="steps", loss=5.25)
    assert "30/60 steps, loss 5.25" in out.getvalue()


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0.04, "0.0 s"), (9.94, "9.9 s"), (9.96, "10 s"), (59.6, "1 min 00 s"), (185, "3 min 05 s"), (3720, "1 h 02 min")],
)
def test_durations_are_written_for_people(seconds, text):
    assert progress.duration(seconds) == text


@pytest.mark.parametrize("width", [20, 60, 120])
def test_the_live_line_shows_every_number_at_any_width(width):
    out = io.StringIO()
    display = progress.Display(Console(file=out, force_terminal=True, width=width, color_system=None))
    with display.stage("Trainer") as stage:
        stage.update(5000, total=5000, unit="steps", loss=5.25, accuracy=0.125, note="end")
    assert "…" not in out.getvalue()
    for piece in ("Trainer", "5,000/5,000", "5.25", "0.125", "end"):
        assert piece in out.getvalue()


@pytest.mark.parametrize("gone", ["terminal", "pipe"])
def test_a_run_goes_on_without_its_terminal(gone, monkeypatch):
    """Writing to a terminal that was closed gives EIO, and to a pipe whose reader has ended EPIPE."""
    reader, writer = pty.openpty() if gone == "terminal" else os.pipe()
    with open(writer, "w", closefd=False) as out:
        monkeypatch.setattr(sys, "stdout", out)
        display = progress.Display()
        display.say("seen")
        os.close(reader)
        with display.stage("Trainer") as stage:
            for step in range(3):
                stage.update(step, total=3, unit="steps")
        display.say("not seen")
        assert display.console.quiet
    os.close(writer)
