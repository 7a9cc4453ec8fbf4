"""Compares the examples with a schema: classes, sample rate, sizes of the splits, and drift of the distributions.

Drift is measured as in TFX: by the L-infinity distance for classes, by the Jensen-Shannon divergence for histograms.
"""

import dataclasses
from collections.abc import Iterator, Sequence

import numpy as np
from scipy.spatial import distance

from beam_jobs.statistics.example_statistics import ExampleStatistics, SplitStatistics
from components.example_validator.anomaly import Anomaly, first_names
from components.example_validator.config import ExampleValidatorConfig
from components.example_validator.schema import Schema, SplitSchema

MIN_CLIPS_FOR_DRIFT = 100
"""Smaller splits are not checked for drift, because chance alone exceeds any useful bound."""

_SEVERITIES = ("class_mismatch", "rate_mismatch", "split_size", "drift")


@dataclasses.dataclass(frozen=True, kw_only=True)
class Reference:
    """What the examples are compared with.

    Attributes:
        schema: What the examples should be like.
        name: What messages call it: "the schema" or "the last run".
        way_out: What to do about a difference, for messages.
        only_warns: Whether all differences are warnings, whatever the config says.
    """

    schema: Schema
    name: str
    way_out: str
    only_warns: bool = False


def kept_schema(schema: Schema) -> Reference:
    """Returns a reference to the schema that the user keeps."""
    way_out = "correct the source, or accept the change by copying the new schema.json over the old one"
    return Reference(schema=schema, name="the schema", way_out=way_out)


def last_run(schema: Schema) -> Reference:
    """Returns a reference to the schema that the last run inferred."""
    way_out = "correct the source unless the change is intended"
    return Reference(schema=schema, name="the last run", way_out=way_out, only_warns=True)


def compare(
    statistics: ExampleStatistics, *, reference: Reference, config: ExampleValidatorConfig
) -> Iterator[Anomaly]:
    """Yields an anomaly for each difference between the examples and a reference."""
    if reference.only_warns:
        config = config.model_copy(update=dict.fromkeys(_SEVERITIES, "warning"))
    schema, of_reference = reference.schema, f"of {reference.name}; {reference.way_out}"
    if statistics["sample_rate"] != schema.sample_rate:
        rates = f"at {statistics['sample_rate']:,} Hz, not at the {schema.sample_rate:,} Hz"
        message = f"the examples are {rates} {of_reference} (audio_example_gen.sample_rate={schema.sample_rate})"
        yield Anomaly(name="sample_rate_mismatch", severity=config.rate_mismatch, message=message)
    same_classes = statistics["label_names"] == schema.label_names
    if not same_classes:
        difference = _class_difference(statistics["label_names"], schema.label_names)
        message = f"the classes, {difference}, are not those {of_reference}"
        yield Anomaly(name="classes_mismatch", severity=config.class_mismatch, message=message)
    for name in dict.fromkeys((*schema.splits, *statistics["splits"])):
        split, expected = statistics["splits"].get(name), schema.splits.get(name)
        clips = split["clips"] if split else 0
        expected_clips = expected.clips if expected else 0
        if abs(clips - expected_clips) > config.max_size_change * expected_clips:
            bound = f"more than {config.max_size_change:.0%} off the {expected_clips:,} {of_reference}"
            message = f"the {name} split has {clips:,} clips, {bound}"
            yield Anomaly(name=f"{name}_size", severity=config.split_size, message=message)
        if min(clips, expected_clips) >= MIN_CLIPS_FOR_DRIFT:
            if same_classes:
                yield from _class_drift(name, split, expected, reference=reference, config=config)
            yield from _histogram_drift(name, split, expected, reference=reference, config=config)


def jensen_shannon(a: Sequence[int], b: Sequence[int]) -> float:
    """Returns the Jensen-Shannon divergence of two histograms in bits.

    Returns:
        0 for histograms with equal shares, 1 for histograms that have no filled bin in common.
    """
    return float(distance.jensenshannon(a, b, base=2) ** 2)


def _class_difference(names: Sequence[str], expected: Sequence[str]) -> str:
    missing = [name for name in expected if name not in names]
    unexpected = [name for name in names if name not in expected]
    parts = []
    if missing:
        parts.append(f"{len(missing):,} missing ({first_names(missing)})")
    if unexpected:
        parts.append(f"{len(unexpected):,} unexpected ({first_names(unexpected)})")
    return " and ".join(parts) if parts else f"the same {len(names):,} in another order"


def _class_drift(
    name: str,
    split: SplitStatistics,
    expected: SplitSchema,
    *,
    reference: Reference,
    config: ExampleValidatorConfig,
) -> Iterator[Anomaly]:
    if not any(split["label_counts"]) or not any(expected.label_counts):
        return
    drift = _shares(split["label_counts"]) - _shares(expected.label_counts)
    largest = int(np.abs(drift).argmax())
    if abs(drift[largest]) > config.max_class_drift:
        label = reference.schema.label_names[largest]
        bound = f"(L-infinity, more than {config.max_class_drift:g})"
        message = (
            f"the share of {label} in the {name} split is {drift[largest]:+.3f} off that of {reference.name} {bound}; "
            f"{reference.way_out}"
        )
        yield Anomaly(name=f"{name}_class_drift", severity=config.drift, message=message)


def _histogram_drift(
    name: str,
    split: SplitStatistics,
    expected: SplitSchema,
    *,
    reference: Reference,
    config: ExampleValidatorConfig,
) -> Iterator[Anomaly]:
    pairs = {
        "level": (split["level_histogram"], expected.level_histogram),
        "duration": (split["duration_histogram"], expected.duration_histogram),
    }
    for quantity, (present, stored) in pairs.items():
        anomaly_name = f"{name}_{quantity}_drift"
        if present["edges"] != stored.edges:
            message = (
                f"the {quantity}s of the {name} split cannot be compared with {reference.name}, which has other bins; "
                "copy the new schema.json"
            )
            yield Anomaly(name=anomaly_name, severity=config.drift, message=message)
            continue
        divergence = jensen_shannon(present["counts"], stored.counts)
        if divergence > config.max_histogram_drift:
            amount = f"{divergence:.3f} bits off those of {reference.name}"
            bound = f"(Jensen-Shannon, more than {config.max_histogram_drift:g})"
            message = f"the {quantity}s of the {name} split are {amount} {bound}; {reference.way_out}"
            yield Anomaly(name=anomaly_name, severity=config.drift, message=message)


def _shares(counts: Sequence[int]) -> np.ndarray:
    return np.divide(counts, np.sum(counts))
