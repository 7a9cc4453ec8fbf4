"""What `--budget` takes, and what it buys."""

import math

import pytest

from components.errors import UserError
from pipeline.configs import overrides, presets
from pipeline.experiments import budget
from pipeline.experiments.budget import Budget


@pytest.mark.parametrize(
    "text",
    [
        "cpu-minutes=15",
        "steps=60",
        "passes=0.5",
        "cpu-minutes=0.25",
        "steps=123456789012",
        "passes=0.12345678901234566",
    ],
)
def test_a_budget_reads_back(text):
    assert budget.parse(text).text == text


@pytest.mark.parametrize(
    "text",
    [
        *("", "15", "steps", "steps=", "steps=x", "steps=0", "steps=1.5", "passes=-1", "passes=inf", "hours=1", "=3"),
        *("steps=1e13", "steps=1000000000001", "passes=1e308", "cpu-minutes=1e308"),
    ],
)
def test_a_wrong_budget_is_refused(text):
    with pytest.raises(UserError, match=r"^--budget .*"):
        budget.parse(text)


def test_what_a_budget_buys():
    def steps(kind, amount):
        return Budget(kind=kind, amount=amount).steps(cpu_s_per_step=2.5, clips=1898, clips_per_step=128)

    assert steps("steps", 60) == 60
    assert steps("passes", 3) == 3 * (1898 // 128)
    assert steps("cpu-minutes", 15) == math.floor(15 * 60 / 2.5)
    assert steps("passes", 0.001) == steps("cpu-minutes", 0.001) == 1


def test_no_budget_buys_more_steps_than_the_trainer_takes():
    most = budget.parse("steps=1e12")
    assert most.text == "steps=1000000000000"
    steps = most.steps(cpu_s_per_step=1.0, clips=1, clips_per_step=2)
    assert overrides.replace(presets.config("tiny"), {"trainer.steps": steps}).trainer.steps == budget.MOST
    with pytest.raises(UserError, match=r"^trainer\.steps"):
        overrides.replace(presets.config("tiny"), {"trainer.steps": budget.MOST + 1})
    for text in ("passes=1e12", "cpu-minutes=1e12"):
        with pytest.raises(
            UserError, match=rf"^--budget {text.replace('1e12', str(budget.MOST))} buys [\d,]+ steps, and a training"
        ):
            budget.parse(text).steps(cpu_s_per_step=1e-3, clips=1898, clips_per_step=128)
