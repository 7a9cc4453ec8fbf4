"""The checks of ExampleValidator."""

from collections.abc import Iterator, Mapping, Sequence

from beam_jobs.statistics.example_statistics import ExampleStatistics, SplitStatistics
from components import text
from components.example_validator import comparison
from components.example_validator.anomaly import Anomaly, first_names
from components.example_validator.config import LEAST_CLIPS, ExampleValidatorConfig


def find_anomalies(
    statistics: ExampleStatistics, *, references: Sequence[comparison.Reference], config: ExampleValidatorConfig
) -> list[Anomaly]:
    """Returns all anomalies, fatal ones first.

    Args:
        statistics: Of the examples.
        references: What to compare the examples with. If the same anomaly is found against several references, only
            that of the first one is returned.
        config: Bounds and severities.
    """
    anomalies = list(_size(statistics["splits"], min_clips=config.min_clips))
    for name, split in statistics["splits"].items():
        anomalies += _sound(name, split, config=config)
        anomalies += _classes(name, split, label_names=statistics["label_names"])
    anomalies += _leakage(statistics, config=config)
    for reference in references:
        names = {anomaly.name for anomaly in anomalies}
        differences = comparison.compare(statistics, reference=reference, config=config)
        anomalies += [anomaly for anomaly in differences if anomaly.name not in names]
    return sorted(anomalies, key=lambda anomaly: anomaly.severity != "fatal")


def _size(splits: Mapping[str, SplitStatistics], *, min_clips: int) -> Iterator[Anomaly]:
    """Checks that there are clips for training and validation."""
    clips = splits["train"]["clips"] if "train" in splits else 0
    if clips == 0:
        message = "the train split is empty: there is nothing to train on; give a source with clips for it"
        yield Anomaly(name="no_train_clips", severity="fatal", message=message)
    elif clips < min_clips:
        way_out = "give more, or lower example_validator.min_clips" if clips >= LEAST_CLIPS else "give more"
        message = f"the train split has {text.plural(clips, 'clip')}, fewer than {min_clips:,}: {way_out}"
        yield Anomaly(name="few_train_clips", severity="fatal", message=message)
    if "valid" not in splits:
        message = "the valid split is empty: training will show no loss on unseen clips; give more clips"
        yield Anomaly(name="no_valid_clips", severity="warning", message=message)


def _sound(name: str, split: SplitStatistics, *, config: ExampleValidatorConfig) -> Iterator[Anomaly]:
    """Checks one split for silent, clipped and short clips."""
    clips = split["clips"]
    if split["silent_clips"] == clips:
        yield Anomaly(
            name=f"{name}_silent",
            severity="fatal" if name == "train" else "warning",
            message=f"every clip of the {name} split is silent (below -60 dBFS): listen to the source",
        )
    elif split["silent_share"] > config.max_silent_share:
        share = f"{split['silent_clips']:,} of {clips:,} clips of the {name} split are silent (below -60 dBFS)"
        message = f"{share}: listen to the source, or raise example_validator.max_silent_share"
        yield Anomaly(name=f"{name}_silent", severity="warning", message=message)
    if split["clipped_share"] > config.max_clipped_share:
        share = f"{split['clipped_clips']:,} of {clips:,} clips of the {name} split are clipped"
        message = f"{share}: listen to the source, or raise example_validator.max_clipped_share"
        yield Anomaly(name=f"{name}_clipped", severity="warning", message=message)
    if split["min_seconds"] < config.min_seconds:
        length = f"{split['min_seconds']:g} s, less than {config.min_seconds:g} s"
        way_out = "remove such clips, or lower example_validator.min_seconds"
        message = f"the shortest clip of the {name} split has {length}: {way_out}"
        yield Anomaly(name=f"{name}_short", severity="warning", message=message)


def _classes(name: str, split: SplitStatistics, *, label_names: Sequence[str]) -> Iterator[Anomaly]:
    """Checks one split of labeled audio for classes without a clip and clips without a label."""
    if not label_names:
        return
    absent = [label for label, count in zip(label_names, split["label_counts"], strict=True) if count == 0]
    # The valid split is a small random draw. It often lacks a class, which is no fault of the source.
    if absent and name != "valid":
        number = f"{len(absent):,} of {len(label_names):,} classes have no clip in the {name} split"
        message = f"{number}: {first_names(absent)}; add clips of them, or expect no score for them"
        yield Anomaly(name=f"{name}_classes_absent", severity="warning", message=message)
    if split["unlabelled_clips"]:
        number = f"{split['unlabelled_clips']:,} of {split['clips']:,} clips of the {name} split have no label"
        message = f"{number}: label them, or expect no score for them"
        yield Anomaly(name=f"{name}_unlabelled", severity="warning", message=message)


def _leakage(statistics: ExampleStatistics, *, config: ExampleValidatorConfig) -> Iterator[Anomaly]:
    """Checks each pair of splits for clips that sound the same."""
    for entry in statistics["near_duplicates"]:
        first, second = entry["splits"]
        leaked, clips = entry["clips"][1], statistics["splits"][second]["clips"]
        if leaked <= config.max_leaked_share * clips:
            continue
        first_id, second_id, _ = entry["listed"][0]
        share = f"{leaked:,} of {clips:,} clips of the {second} split sound the same as one of the {first} split"
        where = f"statistics.json lists {len(entry['listed']):,} of {entry['pairs']:,} pairs"
        message = (
            f"{share}, e.g. {second_id} as {first_id}: remove one clip of each pair ({where}), or raise "
            "example_validator.max_leaked_share"
        )
        yield Anomaly(name=f"{first}_{second}_leakage", severity=config.leakage, message=message)
