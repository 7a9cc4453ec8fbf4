"""What a step costs in processor time, kept so that the same command trains as many steps the next time."""

import json
from collections.abc import Callable, Mapping

from etils import epath

from beam_jobs import storage
from components.errors import UserError
from components.trainer import Trainer, TrainerConfig
from pipeline import digests
from pipeline.runner import libraries

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
        "pairs_per_clip",
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
        file: A JSON file: key -> `cpu_s_per_step`, what it was measured on, and with which versions.
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
        known = self._known(config, examples=examples)
        return None if known is None else float(known["cpu_s_per_step"])

    def machine(self, config: TrainerConfig, *, examples: str) -> str:
        """Returns the kind of machine that the cost was measured on, e.g. "2 cores, AMD EPYC"; "" if it is not known.

        For the arguments and errors see `find`.
        """
        known = self._known(config, examples=examples) or {}
        _, _, kind = str(known.get("machine", "")).partition(", ")  # Without the name of the host.
        return kind

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
        measured = {**measure(), "versions": _versions()}
        storage.write_text(
            self._file, json.dumps({**self._read(), key(config, examples=examples): measured}, indent=1) + "\n"
        )
        return float(measured["cpu_s_per_step"])

    def _known(self, config: TrainerConfig, *, examples: str) -> Mapping[str, object] | None:
        """Returns what was measured with the present versions; None if nothing was.

        Other versions train anew, as they have another cache key. What earlier versions of Diptych measured names none.
        """
        known, versions = self._read().get(key(config, examples=examples)), _versions()
        return known if known is not None and known.get("versions", versions) == versions else None

    def _read(self) -> dict[str, dict[str, object]]:
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


def _versions() -> dict[str, int | str]:
    return {"Trainer": Trainer.version, **libraries.versions(Trainer.libraries)}


def key(config: TrainerConfig, *, examples: str) -> str:
    """Returns what the cost of a step depends on, as a digest."""
    fields = {name: value for name, value in config.model_dump(mode="json").items() if name not in _FREE}
    return digests.json_digest({"examples": examples, "trainer": fields})[:16]
