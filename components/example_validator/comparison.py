"""The examples held against a schema or the last run: classes, rate, sizes, and drift of the distributions.

Drift is measured as TFX does: the L-infinity distance for classes, the Jensen-Shannon divergence for histograms.
"""

import dataclasses
from collections.abc import Iterator, Mapping, Sequence

import numpy as np

from components import base
from components.example_validator.anomaly import Anomaly, anomaly, listed
from components.example_validator.schema import Schema, SplitSchema

FEWEST_CLIPS = 100
"""Splits of fewer clips are not tested for drift: chance alone moves them beyond any useful bound."""

_SEVERITIES = ("class_mismatch", "rate_mismatch", "split_size", "drift")


@dataclasses.dataclass(frozen=True, kw_only=True)
class Reference:
    """What the examples are held against.

    Attributes:
        schema: The figures.
        name: What to call it, "the schema" or "the last run".
        way_out: What to do about a departure from it.
        only_warns: Whether no departure from it is fatal, whatever the config says.
    """

    schema: Schema
    name: str
    way_out: str
    only_warns: bool = False


def kept_schema(schema: Schema) -> Reference:
    """A schema that the user keeps."""
    way_out = "mend the source, or accept the change by copying the new schema.json over the old one"
    return Reference(schema=schema, name="the schema", way_out=way_out)


def last_run(schema: Schema) -> Reference:
    """The schema inferred from the last run."""
    way_out = "mend the source unless that was intended"
    return Reference(schema=schema, name="the last run", way_out=way_out, only_warns=True)


def compare(document: Mapping, *, reference: Reference, config: base.StageConfig) -> Iterator[Anomaly]:
    """Everything in which the contents of a `statistics.json` differ from a reference."""
    if reference.only_warns:
        config = config.model_copy(update=dict.fromkeys(_SEVERITIES, "warning"))
    schema, than = reference.schema, f"of {reference.name}; {reference.way_out}"
    if document["sample_rate"] != schema.sample_rate:
        message = f"the examples are at {document['sample_rate']:,} Hz, not at the {schema.sample_rate:,} Hz {than}"
        hint = f" (audio_example_gen.sample_rate={schema.sample_rate})"
        yield anomaly("sample_rate_mismatch", config.rate_mismatch, message + hint)
    same_classes = document["label_names"] == schema.label_names
    if not same_classes:
        what = _difference(document["label_names"], schema.label_names)
        yield anomaly("classes_mismatch", config.class_mismatch, f"the classes, {what}, are not those {than}")
    for split in dict.fromkeys((*schema.splits, *document["splits"])):
        figures, expected = document["splits"].get(split), schema.splits.get(split)
        clips, wanted = figures["clips"] if figures else 0, expected.clips if expected else 0
        if abs(clips - wanted) > config.max_size_change * wanted:
            bound = f"more than {config.max_size_change:.0%} off the {wanted:,} {than}"
            yield anomaly(f"{split}_size", config.split_size, f"the {split} split has {clips:,} clips, {bound}")
        if min(clips, wanted) >= FEWEST_CLIPS:
            if same_classes:
                yield from _class_drift(split, figures, expected, reference=reference, config=config)
            yield from _histogram_drift(split, figures, expected, reference=reference, config=config)


def jensen_shannon(a: Sequence[int], b: Sequence[int]) -> float:
    """The Jensen-Shannon divergence of two histograms in bits: 0 where alike, 1 where they share no bin."""
    from scipy.spatial import distance

    return float(distance.jensenshannon(a, b, base=2) ** 2)


def _shares(counts: Sequence[int]) -> np.ndarray:
    return np.divide(counts, np.sum(counts))


def _difference(names: Sequence[str], expected: Sequence[str]) -> str:
    missing = [name for name in expected if name not in names]
    unexpected = [name for name in names if name not in expected]
    parts = [f"{len(missing):,} missing ({listed(missing)})"] * bool(missing)
    parts += [f"{len(unexpected):,} unexpected ({listed(unexpected)})"] * bool(unexpected)
    return " and ".join(parts) or f"the same {len(names):,}, in another order"


def _class_drift(
    split: str, figures: Mapping, expected: SplitSchema, *, reference: Reference, config: base.StageConfig
) -> Iterator[Anomaly]:
    if not any(figures["label_counts"]) or not any(expected.label_counts):
        return
    moved = _shares(figures["label_counts"]) - _shares(expected.label_counts)
    most = int(np.abs(moved).argmax())
    if abs(moved[most]) > config.max_class_drift:
        what = f"the share of {reference.schema.label_names[most]} in the {split} split is {moved[most]:+.3f} off that"
        bound = f"(L-infinity, more than {config.max_class_drift:g})"
        message = f"{what} of {reference.name} {bound}; {reference.way_out}"
        yield anomaly(f"{split}_class_drift", config.drift, message)


def _histogram_drift(
    split: str, figures: Mapping, expected: SplitSchema, *, reference: Reference, config: base.StageConfig
) -> Iterator[Anomaly]:
    for name in ("level", "duration"):
        present, stored = figures[f"{name}_histogram"], getattr(expected, f"{name}_histogram")
        if present["edges"] != stored.edges:
            message = (
                f"the {name}s of the {split} split cannot be compared with {reference.name}, whose bins are others"
            )
            yield anomaly(f"{split}_{name}_drift", config.drift, f"{message}; copy the new schema.json")
            continue
        divergence = jensen_shannon(present["counts"], stored.counts)
        if divergence > config.max_histogram_drift:
            amount = f"{divergence:.3f} bit off those of {reference.name}"
            bound = f"(Jensen-Shannon, more than {config.max_histogram_drift:g})"
            message = f"the {name}s of the {split} split are {amount} {bound}; {reference.way_out}"
            yield anomaly(f"{split}_{name}_drift", config.drift, message)
