"""The config of ExampleValidator."""

from typing import ClassVar

import pydantic

from components import base
from components.example_validator.anomaly import Severity
from components.location import Location

LEAST_CLIPS = 2
"""Without a second clip there are no negatives."""


class ExampleValidatorConfig(base.StageConfig):
    """What counts as an anomaly, and how severe it is."""

    # The schema is digested by its content, so that it may be spelled otherwise or moved.
    incidental: ClassVar[frozenset[str]] = frozenset({"schema_path"})

    min_clips: int = pydantic.Field(
        LEAST_CLIPS,
        ge=LEAST_CLIPS,
        description="A smaller train split is fatal. A single clip, for example, has no negatives.",
    )
    max_silent_share: float = pydantic.Field(
        0.2, ge=0, le=1, description="Warn if a larger share of a split's clips is silent (below -60 dBFS)."
    )
    max_clipped_share: float = pydantic.Field(
        0.2,
        ge=0,
        le=1,
        description="Warn if a larger share of a split's clips is clipped (more than 0.1 % of the samples at full "
        "scale).",
    )
    min_seconds: float = pydantic.Field(0.1, ge=0, description="Warn if a clip is shorter than this, in seconds.")
    max_leaked_share: float = pydantic.Field(
        0.0,
        ge=0,
        le=1,
        description="Report if a larger share of the clips of valid or eval sounds the same as clips of an earlier "
        "split.",
    )
    schema_path: Location | None = pydantic.Field(
        None,
        description="JSON file to compare the examples with: a copy of an earlier run's schema.json. The examples are "
        "always compared with the last different ones as well, which gives warnings only. null compares with those "
        "alone.",
    )
    max_size_change: float = pydantic.Field(
        0.1, ge=0, description="Report if the size of a split differs from the schema's by a larger share."
    )
    max_class_drift: float = pydantic.Field(
        0.05, ge=0, le=1, description="Report if the share of a class differs more from the schema's (L-infinity)."
    )
    max_histogram_drift: float = pydantic.Field(
        0.1,
        ge=0,
        le=1,
        description="Report if levels or durations differ more from the schema's (Jensen-Shannon divergence, in bits).",
    )
    leakage: Severity = pydantic.Field("warning", description="Severity of near duplicates between splits.")
    class_mismatch: Severity = pydantic.Field("fatal", description="Severity of classes that differ from the schema's.")
    rate_mismatch: Severity = pydantic.Field(
        "fatal", description="Severity of a sample rate that differs from the schema's."
    )
    split_size: Severity = pydantic.Field("warning", description="Severity of a change in the size of a split.")
    drift: Severity = pydantic.Field("warning", description="Severity of drift in classes, levels or durations.")
