"""What a step costs in processor time, kept so that the same command trains as many steps the next time."""

import json
from collections.abc import Callable

from etils import epath

from beam_jobs import storage
from components.errors import UserError
from components.trainer import TrainerConfig
from pipeline import digests

_FREE = frozenset(
    {
        "branch_learning_rates",
        "checkpoint_every",
        "collapse_rank",
        "decoupled",
        "eval_every",
        "extend",
        "final_learning_rate",
        "initial_temperature",
        "keep_checkpoints",
        "learning_rate",
        "log_every",
        "mixing_steps",
        "patience",
        "probe_clips",
        "profile",
        "seed",
        "steps",
        "steps_per_loop",
        "temperature",
        "temperature_steps",
        "warmup_steps",
    }
)
"""Fields of the Trainer's config that do not change what a step costs, so that cells which differ in nothing else have
the same number of steps."""


class Costs:
    """The costs that were measured under a root.

    Args:
        file: A JSON file: key -> `cpu_s_per_step`, and what it was measured on.
    """

    def __init__(self, file: epath.Path):
        self._file = file

    def find(self, config: TrainerConfig, *, examples: str) -> float | None:
        """Returns the processor time of a step in seconds, or None if it was not measured yet.

        Args:
            config: The config of the Trainer.
            examples: Digest of the examples.

        Raises:
            UserError: The file is damaged.
        """
        known = self._read().get(key(config, examples=examples))
        return None if known is None else known["cpu_s_per_step"]

    def find_or_measure(
        self, config: TrainerConfig, *, examples: str, measure: Callable[[], dict[str, float | int | str]]
    ) -> float:
        """Returns the processor time of a step in seconds.

        Args:
            config: The config of the Trainer.
            examples: Digest of the examples.
            measure: Measures it. Returns `cpu_s_per_step`, and what else is to be kept.
        """
        known = self.find(config, examples=examples)
        if known is not None:
            return known
        measured = measure()
        storage.write_text(
            self._file, json.dumps({**self._read(), key(config, examples=examples): measured}, indent=1) + "\n"
        )
        return float(measured["cpu_s_per_step"])

    def _read(self) -> dict[str, dict[str, float]]:
        if not self._file.exists():
            return {}
        try:
            found = json.loads(self._file.read_text())
            for measured in found.values():
                if not measured["cpu_s_per_step"] > 0:
                    raise ValueError("no time")
        except (AttributeError, KeyError, TypeError, ValueError) as error:
            raise UserError(f"{self._file} is damaged: remove it, and the costs are measured again.") from error
        return found


def key(config: TrainerConfig, *, examples: str) -> str:
    """Returns what the cost of a step depends on, as a digest."""
    fields = {name: value for name, value in config.model_dump(mode="json").items() if name not in _FREE}
    return digests.json_digest({"examples": examples, "trainer": fields})[:16]
