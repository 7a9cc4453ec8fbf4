"""Executes the Trainer."""

import dataclasses
from collections.abc import Mapping

from etils import epath

from components import base
from components.trainer import strategies, train
from components.trainer.config import TrainerConfig
from components.trainer.loop import Outcome


def execute(
    config: TrainerConfig,
    *,
    inputs: Mapping[str, epath.Path],
    outputs: Mapping[str, epath.Path],
    context: base.StageContext,
) -> base.StageResult:
    """Trains on `inputs["examples"]` and writes the model and its history.

    Raises:
        UserError: See `train.train`.
    """
    with strategies.lost_machine_errors():
        outcome = train.train(config, examples_dir=inputs["examples"], outputs=outputs, context=context)
    figures = {name: value for name, value in dataclasses.asdict(outcome).items() if value is not None}
    return base.StageResult(summary=_summary(outcome), figures=figures)


def _summary(outcome: Outcome) -> str:
    steps = f"{outcome.steps:,} steps"
    if outcome.best_step != outcome.steps:
        steps += f", best at {outcome.best_step:,}"
    speed = "nothing was left to train"
    if outcome.clips_per_s:
        speed = f"{outcome.clips_per_s:,.0f} clips/s"
    loss = "" if outcome.loss is None else f"loss {outcome.loss:.2f}"
    top1 = "" if outcome.top1 is None else f"top-1 {outcome.top1:.0%}"
    parts = [steps, loss, top1, outcome.resumption, speed]
    return ", ".join(part for part in parts if part)
