"""What is equal between the cells of an experiment: processor time, steps, or passes over the clips."""

import dataclasses
import math
from typing import TYPE_CHECKING, Literal, get_args

from components.errors import UserError

if TYPE_CHECKING:
    from pipeline.configs.config import PipelineConfig

Kind = Literal["cpu-minutes", "steps", "passes"]
KINDS: tuple[Kind, ...] = get_args(Kind)

MOST = 10**12
"""The largest number that `trainer.steps` takes. No budget may be larger, whatever it counts."""

# Presets for machines without an accelerator -> default minutes. On an accelerator, processor time says little, so the
# other presets have their own number of steps, as in the paper.
_CPU_MINUTES = {"quickstart": 5.0, "tiny": 15.0}


@dataclasses.dataclass(frozen=True, kw_only=True)
class Budget:
    """What each training may take.

    Attributes:
        kind: cpu-minutes: processor time of the steps, over all cores; passes: over the train split.
        amount: How much of it, above 0.
    """

    kind: Kind
    amount: float

    @property
    def text(self) -> str:
        """The value of `--budget`."""
        amount = float(self.amount)
        return f"{self.kind}={int(amount) if amount.is_integer() else amount}"

    def steps(self, *, cpu_s_per_step: float, clips: int, clips_per_step: int) -> int:
        """Returns the number of steps of a training, at least 1.

        Args:
            cpu_s_per_step: Processor time of a step, in seconds. Only a budget of cpu-minutes needs it.
            clips: Number of clips of the train split.
            clips_per_step: Clips of a batch. What remains of a pass after the last whole batch is not trained on.

        Raises:
            UserError: They are more than the Trainer takes.
        """
        if self.kind == "steps":
            return int(self.amount)
        if self.kind == "passes":
            steps = round(self.amount * (clips // clips_per_step))
        else:
            steps = math.floor(60 * self.amount / cpu_s_per_step)
        if steps > MOST:
            raise UserError(
                f"--budget {self.text} buys {steps:,} steps, and a training has at most {MOST:,}: give less."
            )
        return max(1, steps)


def parse(text: str) -> Budget:
    """Returns the budget that `--budget` names, e.g. "cpu-minutes=15".

    Raises:
        UserError: It is not one.
    """
    kind, equals, number = text.partition("=")
    wrong = UserError(
        f"--budget {text} is not a budget: give {', '.join(f'{one}=N' for one in KINDS[:-1])} or {KINDS[-1]}=N, with "
        "a number above 0."
    )
    if kind not in KINDS or not equals:
        raise wrong
    try:
        amount = float(number)
    except ValueError:
        raise wrong from None
    if not math.isfinite(amount) or amount <= 0:
        raise wrong
    if amount > MOST:
        raise UserError(f"--budget {text} is too much: give at most {kind}={MOST}.")
    if kind == "steps" and amount != int(amount):
        raise UserError(f"--budget {text}: the number of steps must be whole.")
    return Budget(kind=kind, amount=amount)


def default(preset: str, config: "PipelineConfig") -> Budget:
    """Returns the budget of a preset."""
    if preset in _CPU_MINUTES:
        return Budget(kind="cpu-minutes", amount=_CPU_MINUTES[preset])
    return Budget(kind="steps", amount=config.trainer.steps)
