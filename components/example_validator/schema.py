"""The schema: what the examples should be like. ExampleValidator infers it, and the user keeps a copy as JSON.

    {"sample_rate": 16000, "label_names": [...],
     "splits": {"train": {"clips": 1898, "label_counts": [...], "level_histogram": {...}, "duration_histogram": {...}}}}

The term and its use are TFX's: a schema is inferred from the statistics of one run, reviewed and edited, and later runs
are compared with it.
"""

import pydantic
from etils import epath

from beam_jobs.statistics.example_statistics import ExampleStatistics
from components.errors import UserError


class _Strict(pydantic.BaseModel):
    model_config = pydantic.ConfigDict(extra="forbid", frozen=True)


class Histogram(_Strict):
    """Number of clips in each bin."""

    edges: list[float]
    counts: list[pydantic.NonNegativeInt]

    @pydantic.model_validator(mode="after")
    def _check(self) -> "Histogram":
        if len(self.edges) != len(self.counts) + 1:
            raise ValueError(f"{len(self.counts)} counts need {len(self.counts) + 1} edges, not {len(self.edges)}")
        return self


class SplitSchema(_Strict):
    """What one split should be like.

    Attributes:
        clips: Number of clips.
        label_counts: Number of clips of each class, in index order.
        level_histogram: Levels of the clips, in dBFS.
        duration_histogram: Durations of the clips, in seconds.
    """

    clips: pydantic.NonNegativeInt
    label_counts: list[pydantic.NonNegativeInt]
    level_histogram: Histogram
    duration_histogram: Histogram

    @pydantic.model_validator(mode="after")
    def _check(self) -> "SplitSchema":
        for name in ("level_histogram", "duration_histogram"):
            if self.clips and not any(getattr(self, name).counts):
                raise ValueError(f"all counts of {name} are 0, and no drift could be measured")
        return self


class Schema(_Strict):
    """What the examples should be like.

    Attributes:
        sample_rate: In Hz.
        label_names: Class names in index order.
        splits: By name. Any other split is unexpected.
    """

    sample_rate: int
    label_names: list[str]
    splits: dict[str, SplitSchema]

    @pydantic.model_validator(mode="after")
    def _check(self) -> "Schema":
        for split, expected in self.splits.items():
            if len(expected.label_counts) != len(self.label_names):
                counts = f"{len(expected.label_counts)} label_counts of {split}"
                raise ValueError(f"{counts}, but {len(self.label_names)} label_names")
        return self


def infer(statistics: ExampleStatistics) -> Schema:
    """Returns the schema that describes the given statistics."""
    splits = {}
    for name, split in statistics["splits"].items():
        splits[name] = SplitSchema(
            clips=split["clips"],
            label_counts=split["label_counts"],
            level_histogram=Histogram.model_validate(split["level_histogram"]),
            duration_histogram=Histogram.model_validate(split["duration_histogram"]),
        )
    return Schema(sample_rate=statistics["sample_rate"], label_names=statistics["label_names"], splits=splits)


def read(path: epath.PathLike) -> Schema:
    """Reads a schema.

    Raises:
        UserError: The file is missing or malformed.
    """
    try:
        return Schema.model_validate_json(epath.Path(path).read_text())
    except (OSError, UnicodeDecodeError) as error:
        raise _user_error(f"{path} cannot be read ({error})") from error
    except pydantic.ValidationError as error:
        first = error.errors(include_url=False)[0]
        reason = first["msg"].removeprefix("Value error, ")
        if first["loc"]:
            field = ".".join(str(part) for part in first["loc"])
            reason = f"{field}: {reason}"
        raise _user_error(f"{path} is no schema: {reason}") from error


def _user_error(reason: str) -> UserError:
    way_out = "copy the schema.json that ExampleValidator wrote beside anomalies.json"
    return UserError(f"example_validator.schema_path: {reason}; {way_out}")
