"""What is odd about the examples, as `anomalies.json` holds it."""

from typing import Literal

Anomaly = dict[str, str]
Severity = Literal["fatal", "warning"]


def anomaly(name: str, severity: Severity, message: str) -> Anomaly:
    """One anomaly; the message is a sentence with the numbers and the way out."""
    return {"name": name, "severity": severity, "message": message}


def listed(names: list[str], *, shown: int = 5) -> str:
    """The first of some names, for a message."""
    return ", ".join(names[:shown]) + (", ..." if len(names) > shown else "")
