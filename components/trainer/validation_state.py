"""The outcome of the validations so far, which checkpoints contain."""

import dataclasses
from collections.abc import Mapping

# The keys in checkpoint.json must stay, so that old checkpoints load.
_KEYS = {
    "best_step": "step",
    "best_score": "score",
    "metric": "metric",
    "validations_since": "waited",
    "last_validated_step": "looked",
}


@dataclasses.dataclass(frozen=True, kw_only=True)
class ValidationState:
    """The outcome of the validations so far. Every checkpoint has it, so that a resumed run makes the same decisions.

    Attributes:
        best_step: Step of the best model; None before the first validation.
        best_score: Score of the best model; higher is better.
        metric: What the score is, see `ValidationResult`. None before the first validation, and in checkpoints of
            versions of Diptych that did not save it.
        validations_since: Number of validations after `best_step`.
        last_validated_step: Step of the last validation. If a run is stopped between a step and its validation, this
            tells the resumed run to validate first.
    """

    best_step: int | None = None
    best_score: float | None = None
    metric: str | None = None
    validations_since: int = 0
    last_validated_step: int = 0

    def to_json(self) -> dict[str, float | str | None]:
        """Returns the state under the keys of checkpoint.json."""
        return {key: getattr(self, name) for name, key in _KEYS.items()}

    def comparable_with(self, metric: str) -> "ValidationState":
        """Returns the state, without the best model if its score is not known to be of this metric."""
        if self.best_step is None or self.metric == metric:
            return self
        return ValidationState(last_validated_step=self.last_validated_step)

    @classmethod
    def from_json(cls, saved: Mapping[str, float | str | None]) -> "ValidationState":
        """Returns the state that `to_json` saved."""
        return cls(**{name: saved[key] for name, key in _KEYS.items() if key in saved})
