"""The checks of ExampleValidator, on the contents of a `statistics.json`."""

from collections.abc import Iterator, Mapping, Sequence

from components import base
from components.example_validator import comparison
from components.example_validator.anomaly import Anomaly, anomaly, listed


def find(document: Mapping, *, references: Sequence[comparison.Reference], config: base.StageConfig) -> list[Anomaly]:
    """All anomalies, fatal ones first: mappings with `name`, `severity` and `message`.

    Each name is there once: what departs from several references is told of the first.
    """
    anomalies = [*_amount(document["splits"], minimum=config.min_clips)]
    for split, figures in document["splits"].items():
        anomalies += _sound(split, figures, config=config)
        anomalies += _classes(split, figures, names=document["label_names"])
    anomalies += _leakage(document, config=config)
    for reference in references:
        told = {found["name"] for found in anomalies}
        departures = comparison.compare(document, reference=reference, config=config)
        anomalies += [found for found in departures if found["name"] not in told]
    return sorted(anomalies, key=lambda found: found["severity"])


def _amount(splits: Mapping, *, minimum: int) -> Iterator[Anomaly]:
    count = splits.get("train", {"clips": 0})["clips"]
    if not count:
        message = "the train split is empty: there is nothing to train on; give a source with clips for it"
        yield anomaly("no_train_clips", "fatal", message)
    elif count < minimum:
        message = f"the train split has {count:,} clips, fewer than {minimum:,}: give more, or lower min_clips"
        yield anomaly("few_train_clips", "fatal", message)
    if "valid" not in splits:
        message = "the valid split is empty: no loss on unseen clips will be shown; give more clips"
        yield anomaly("no_valid_clips", "warning", message)


def _sound(split: str, figures: Mapping, *, config: base.StageConfig) -> Iterator[Anomaly]:
    count = figures["clips"]
    if figures["silent_clips"] == count:
        severity = "fatal" if split == "train" else "warning"
        message = f"every clip of the {split} split is silent (below -60 dBFS): listen to the source"
        yield anomaly(f"{split}_silent", severity, message)
    elif figures["silent_share"] > config.max_silent_share:
        share = f"{figures['silent_clips']:,} of {count:,} clips of the {split} split are silent (below -60 dBFS)"
        yield anomaly(f"{split}_silent", "warning", f"{share}: listen to the source, or raise max_silent_share")
    if figures["clipped_share"] > config.max_clipped_share:
        share = f"{figures['clipped_clips']:,} of {count:,} clips of the {split} split are clipped"
        yield anomaly(f"{split}_clipped", "warning", f"{share}: listen to the source, or raise max_clipped_share")
    if figures["min_seconds"] < config.min_seconds:
        length = f"{figures['min_seconds']:g} s, less than {config.min_seconds:g} s"
        message = f"the shortest clip of the {split} split has {length}: leave such clips out, or lower min_seconds"
        yield anomaly(f"{split}_short", "warning", message)


def _classes(split: str, figures: Mapping, *, names: list[str]) -> Iterator[Anomaly]:
    if not names:
        return
    absent = [name for name, count in zip(names, figures["label_counts"], strict=True) if not count]
    # The valid split is a small draw: it misses a class now and then, and nothing is wrong with that.
    if absent and split != "valid":
        message = f"{len(absent):,} of {len(names):,} classes have no clip in the {split} split: {listed(absent)}"
        yield anomaly(
            f"{split}_classes_absent", "warning", f"{message}; give clips of them, or do without a score of them"
        )
    if figures["unlabelled_clips"]:
        message = f"{figures['unlabelled_clips']:,} of {figures['clips']:,} clips of the {split} split have no label"
        yield anomaly(f"{split}_unlabelled", "warning", f"{message}: label them, or do without a score of them")


def _leakage(document: Mapping, *, config: base.StageConfig) -> Iterator[Anomaly]:
    for entry in document["near_duplicates"]:
        (first, second), (_, leaked) = entry["splits"], entry["clips"]
        count = document["splits"][second]["clips"]
        if leaked > config.max_leaked_share * count:
            a, b, _ = entry["listed"][0]
            share = f"{leaked:,} of {count:,} clips of the {second} split sound the same as one of the {first} split"
            where = f"statistics.json lists {len(entry['listed']):,} of {entry['pairs']:,} pairs"
            way_out = f"leave one of each pair out ({where}), or raise max_leaked_share"
            yield anomaly(f"{first}_{second}_leakage", config.leakage, f"{share}, e.g. {b} as {a}: {way_out}")
