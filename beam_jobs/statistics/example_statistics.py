"""The content of `statistics.json`, which the statistics job writes. Needs neither Beam nor TensorFlow."""

import json
from collections.abc import Mapping
from typing import TypedDict

from etils import epath

FILE = "statistics.json"


class Histogram(TypedDict):
    """Number of clips in each bin. There is one edge more than there are bins."""

    edges: list[float]
    counts: list[int]


class SourceFormat(TypedDict):
    """Number of clips that come from files of one format.

    Attributes:
        codec: E.g. "wav/pcm_16"; None if it was not recorded.
        suffix: Of the file name, e.g. ".wav"; "" if it has none.
        sample_rate: Of the file, in Hz; None if it was not recorded.
        clips: Number of clips.
    """

    codec: str | None
    suffix: str
    sample_rate: int | None
    clips: int


class SplitStatistics(TypedDict):
    """The statistics of one split.

    Attributes:
        silent_clips: Number of clips whose level is below -60 dBFS.
        silent_time_share: Share of the 10 ms blocks of all clips whose level is below -60 dBFS.
        clipped_clips: Number of clips with more than 0.1 % of their samples at full scale.
        fingerprinted_clips: Number of clips whose near duplicates can be found.
        label_counts: Number of clips of each class, in index order.
        several_labels_clips: Number of clips with more than one label.
        fold_labels: Number of clips that have a label and no other, as [fold or 0, class, clips].
        label_pairs_found: Number of pairs of classes that occur together in a clip.
        label_pairs: The most frequent pairs, as [class, class, clips].
        log_mel_mean: Mean log energy of each mel band.
        log_mel_std: Standard deviation of the log energy of each mel band.
    """

    clips: int
    unlabelled_clips: int
    seconds: float
    mean_seconds: float
    min_seconds: float
    max_seconds: float
    mean_level_dbfs: float
    max_peak_dbfs: float
    silent_clips: int
    silent_share: float
    silent_time_share: float
    clipped_clips: int
    clipped_share: float
    fingerprinted_clips: int
    label_counts: list[int]
    several_labels_clips: int
    fold_labels: list[list[int]]
    label_pairs_found: int
    label_pairs: list[list[int]]
    source_formats: list[SourceFormat]
    log_mel_mean: list[float]
    log_mel_std: list[float]
    duration_histogram: Histogram
    level_histogram: Histogram
    peak_histogram: Histogram


class NearDuplicates(TypedDict):
    """Pairs of clips that sound the same in two splits; see `near_duplicates`.

    Attributes:
        splits: Names of the two splits.
        pairs: Number of pairs.
        clips: Number of clips of the first and of the second split that occur in a pair.
        listed: The first pairs: [clip id in the first split, clip id in the second split, number of shared keys].
    """

    splits: list[str]
    pairs: int
    clips: list[int]
    listed: list[list[str | int]]


class ExampleStatistics(TypedDict):
    """The whole file. `splits` has no entry for a split without clips."""

    sample_rate: int
    label_names: list[str]
    splits: Mapping[str, SplitStatistics]
    near_duplicates: list[NearDuplicates]


def read(folder: epath.Path) -> ExampleStatistics:
    """Reads `statistics.json` from a folder."""
    return json.loads((folder / FILE).read_text())
