"""An anomaly of the examples, as `anomalies.json` holds it."""

import dataclasses
from collections.abc import Sequence
from typing import Literal

Severity = Literal["fatal", "warning"]


@dataclasses.dataclass(frozen=True, kw_only=True)
class Anomaly:
    """One anomaly.

    Attributes:
        name: Identifies the kind of anomaly and the split, e.g. "train_silent".
        severity: "fatal" keeps the Trainer from starting.
        message: One sentence with the numbers and the way out.
    """

    name: str
    severity: Severity
    message: str


def first_names(names: Sequence[str], *, shown: int = 5) -> str:
    """Returns the first names of a list for a message, e.g. "dog, rain, ..."."""
    text = ", ".join(names[:shown])
    return f"{text}, ..." if len(names) > shown else text
