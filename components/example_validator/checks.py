"""The checks of ExampleValidator, on the contents of a `statistics.json`."""

from collections.abc import Iterator, Mapping

from components import base

Anomaly = dict[str, str]
_NAMED = 5


def find(document: Mapping, *, config: base.StageConfig) -> list[Anomaly]:
    """All anomalies, fatal ones first: mappings with `name`, `severity` and `message`."""
    anomalies = [*_amount(document["splits"], minimum=config.min_clips)]
    for split, figures in document["splits"].items():
        anomalies += _sound(split, figures, config=config)
        anomalies += _classes(split, figures, names=document["label_names"])
    return sorted(anomalies, key=lambda anomaly: anomaly["severity"])


def _amount(splits: Mapping, *, minimum: int) -> Iterator[Anomaly]:
    count = splits.get("train", {"clips": 0})["clips"]
    if not count:
        yield _anomaly("no_train_clips", "fatal", "the train split is empty: there is nothing to train on")
    elif count < minimum:
        yield _anomaly("few_train_clips", "fatal", f"the train split has {count:,} clips, fewer than {minimum:,}")
    if "valid" not in splits:
        yield _anomaly("no_valid_clips", "warning", "the valid split is empty: no loss on unseen clips will be shown")


def _sound(split: str, figures: Mapping, *, config: base.StageConfig) -> Iterator[Anomaly]:
    count = figures["clips"]
    if figures["silent_clips"] == count:
        severity = "fatal" if split == "train" else "warning"
        yield _anomaly(f"{split}_silent", severity, f"every clip of the {split} split is silent (below -60 dBFS)")
    elif figures["silent_share"] > config.max_silent_share:
        share = f"{figures['silent_clips']:,} of {count:,}"
        yield _anomaly(f"{split}_silent", "warning", f"{share} clips of the {split} split are silent (below -60 dBFS)")
    if figures["clipped_share"] > config.max_clipped_share:
        share = f"{figures['clipped_clips']:,} of {count:,}"
        yield _anomaly(f"{split}_clipped", "warning", f"{share} clips of the {split} split are clipped")
    if figures["min_seconds"] < config.min_seconds:
        length = f"{figures['min_seconds']:g} s, less than {config.min_seconds:g} s"
        yield _anomaly(f"{split}_short", "warning", f"the shortest clip of the {split} split has {length}")


def _classes(split: str, figures: Mapping, *, names: list[str]) -> Iterator[Anomaly]:
    if not names:
        return
    absent = [name for name, count in zip(names, figures["label_counts"], strict=True) if not count]
    # The valid split is a small draw: it misses a class now and then, and nothing is wrong with that.
    if absent and split != "valid":
        listed = ", ".join(absent[:_NAMED]) + (", ..." if len(absent) > _NAMED else "")
        message = f"{len(absent):,} of {len(names):,} classes have no clip in the {split} split: {listed}"
        yield _anomaly(f"{split}_classes_absent", "warning", message)
    if figures["unlabelled_clips"]:
        message = f"{figures['unlabelled_clips']:,} of {figures['clips']:,} clips of the {split} split have no label"
        yield _anomaly(f"{split}_unlabelled", "warning", message)


def _anomaly(name: str, severity: str, message: str) -> Anomaly:
    return {"name": name, "severity": severity, "message": message}
