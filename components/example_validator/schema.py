"""The schema: what the examples are expected to be, as a JSON file that the validator infers and a user keeps.

    {"sample_rate": 16000, "label_names": [...],
     "splits": {"train": {"clips": 1898, "label_counts": [...], "level_histogram": {...}, "duration_histogram": {...}}}}

TFX's term and use: inferred from one run's statistics, looked over and edited, and later runs are held against it.
"""

from collections.abc import Mapping

import pydantic
from etils import epath

from components.errors import UserError

_DISTRIBUTIONS = ("label_counts", "level_histogram", "duration_histogram")


class _Strict(pydantic.BaseModel):
    model_config = pydantic.ConfigDict(extra="forbid", frozen=True)


class Histogram(_Strict):
    """Counts per bin."""

    edges: list[float]
    counts: list[int]

    @pydantic.model_validator(mode="after")
    def _check(self) -> "Histogram":
        if len(self.edges) != len(self.counts) + 1:
            raise ValueError(f"{len(self.counts)} counts need as many edges and one more, not {len(self.edges)}")
        return self


class SplitSchema(_Strict):
    """What is expected of one split.

    Attributes:
        clips: Its size.
        label_counts: Clips per class.
        level_histogram: Of the clips' levels in dBFS.
        duration_histogram: Of their durations in seconds.
    """

    clips: int
    label_counts: list[int]
    level_histogram: Histogram
    duration_histogram: Histogram


class Schema(_Strict):
    """What the examples are expected to be.

    Attributes:
        sample_rate: In Hz.
        label_names: Class names in index order.
        splits: By name; a split that is not named is not expected.
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


def infer(document: Mapping) -> Schema:
    """The schema that the contents of a `statistics.json` fit."""
    splits = {
        split: {name: figures[name] for name in ("clips", *_DISTRIBUTIONS)}
        for split, figures in document["splits"].items()
    }
    return Schema(sample_rate=document["sample_rate"], label_names=document["label_names"], splits=splits)


def read(path: epath.PathLike) -> Schema:
    """Reads a schema.

    Raises:
        UserError: if there is none, or it is malformed.
    """
    try:
        return Schema.model_validate_json(epath.Path(path).read_text())
    except (OSError, UnicodeDecodeError) as error:
        raise _refusal(f"{path} cannot be read ({error})") from error
    except pydantic.ValidationError as error:
        first = error.errors(include_url=False)[0]
        where = ".".join(str(part) for part in first["loc"])
        reason = first["msg"].removeprefix("Value error, ")
        raise _refusal(f"{path} is no schema: {f'{where}: ' if where else ''}{reason}") from error


def _refusal(reason: str) -> UserError:
    way_out = "copy the schema.json that ExampleValidator wrote beside anomalies.json"
    return UserError(f"example_validator.schema_path: {reason}; {way_out}")
