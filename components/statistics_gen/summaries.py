"""What StatisticsGen shows in TensorBoard: tables, pictures, and clips of each split to play and see."""

from collections import Counter
from collections.abc import Mapping, Sequence

import tensorflow as tf
from etils import epath

from beam_jobs import examples
from beam_jobs.statistics.example_statistics import ExampleStatistics, SplitStatistics
from components import markdown, tensorboard
from components.statistics_gen import pictures

_FIGURES = (
    "clips", "unlabelled_clips", "seconds", "mean_seconds", "min_seconds", "max_seconds",
    "mean_level_dbfs", "max_peak_dbfs", "silent_clips", "silent_time_share", "clipped_clips", "fingerprinted_clips",
)  # fmt: skip
_MAX_ROWS = 30


def write(statistics: ExampleStatistics, *, info: examples.ExamplesInfo, directory: epath.Path, players: int) -> None:
    """Writes the statistics and some clips of each split.

    Args:
        statistics: To be shown.
        info: The examples that they describe.
        directory: Where the event files go.
        players: Number of clips per split to play and see.
    """
    splits, names = statistics["splits"], statistics["label_names"]
    with tensorboard.writer(directory).as_default(step=0):
        tf.summary.text("statistics", _figures(splits))
        tf.summary.text("source formats", _source_formats(splits))
        if statistics["near_duplicates"]:
            tf.summary.text("near duplicates", _near_duplicates(statistics))
        tf.summary.image("durations", pictures.histogram(splits, "duration_histogram", label="duration (s)"))
        tf.summary.image("levels", pictures.histogram(splits, "level_histogram", label="RMS level (dBFS)"))
        tf.summary.image("peaks", pictures.histogram(splits, "peak_histogram", label="peak (dBFS)"))
        tf.summary.image("log-mel bands", pictures.bands(splits))
        if any(any(split["label_counts"]) for split in splits.values()):
            tf.summary.image("class balance", pictures.balance(splits, names=names))
        if any(split["label_pairs"] for split in splits.values()):
            tf.summary.image("label co-occurrence", pictures.co_occurrence(splits, names=names))
            tf.summary.text("label pairs", _label_pairs(splits, names=names))
        for split in splits:
            _clips(info, split=split, count=players)


def _figures(splits: Mapping[str, SplitStatistics]) -> str:
    rows = [[name, *(f"{split[name]:,}" for split in splits.values())] for name in _FIGURES]
    return markdown.table(["", *splits], rows)  # Names of fields and numbers hold no Markdown.


def _source_formats(splits: Mapping[str, SplitStatistics]) -> str:
    """Returns a table of the clips of each split by codec, suffix and sample rate of their files."""
    counts: dict[str, Counter[tuple[str | None, str, int | None]]] = {}
    for split, statistics in splits.items():
        counts[split] = Counter()
        for row in statistics["source_formats"]:
            counts[split][row["codec"], row["suffix"], row["sample_rate"]] = row["clips"]
    total = sum(counts.values(), Counter())
    rows = []
    for source_format, _ in sorted(total.items(), key=lambda item: (-item[1], str(item[0]))):
        codec, suffix, rate = source_format
        rate_text = f"{rate:,} Hz" if rate else "not recorded"
        clips = [f"{count[source_format]:,}" for count in counts.values()]
        rows.append([codec or "not recorded", suffix or "none", rate_text, *clips])
    return _first_rows(["codec", "suffix", "sample rate", *counts], rows)


def _near_duplicates(statistics: ExampleStatistics) -> str:
    """Returns a table of the number of near duplicates of each pair of splits, and a table of the first pairs."""
    counts, pairs = [], []
    for entry in statistics["near_duplicates"]:
        first, second = entry["splits"]
        shares = [
            f"{clips:,} of {statistics['splits'][split]['clips']:,}"
            for split, clips in zip(entry["splits"], entry["clips"], strict=True)
        ]
        counts.append((f"{first}, {second}", f"{entry['pairs']:,}", *shares))
        for first_id, second_id, shared_keys in entry["listed"]:
            pairs.append((first, first_id, second, second_id, shared_keys))
    table = tensorboard.markdown_table(("splits", "pairs", "clips of the first", "clips of the second"), counts)
    if not pairs:
        return table
    return f"{table}\n\n{_first_rows(('split', 'clip', 'split', 'clip', 'shared keys'), pairs)}"


def _label_pairs(splits: Mapping[str, SplitStatistics], *, names: Sequence[str]) -> str:
    """Returns a table of the most frequent pairs of classes."""
    pairs = sorted(pictures.label_pairs(splits).items(), key=lambda item: (-item[1], item[0]))
    rows = [(f"{clips:,}", names[first], names[second]) for (first, second), clips in pairs]
    numbers = ", ".join(f"{statistics['label_pairs_found']:,} in {split}" for split, statistics in splits.items())
    table = tensorboard.markdown_table(("clips", "class", "with"), rows[:_MAX_ROWS])
    return f"Pairs of classes that occur: {numbers}; the most frequent:\n\n{table}"


def _first_rows(header: Sequence[str], rows: Sequence[Sequence[object]]) -> str:
    table = tensorboard.markdown_table(header, rows[:_MAX_ROWS])
    return f"The first {_MAX_ROWS} of {len(rows):,}\n\n{table}" if len(rows) > _MAX_ROWS else table


def _clips(info: examples.ExamplesInfo, *, split: str, count: int) -> None:
    """Writes the first clips of a split as players and log-mel spectrograms."""
    for index, example in enumerate(examples.dataset(info.directory, split).take(count).as_numpy_iterator()):
        labels = ", ".join(info.label_names[label] for label in example["labels"])
        title = f"{example['clip_id'].decode()} {labels}".strip()
        tensorboard.clip(f"{split}/{index:02d}", example["audio"], sample_rate=info.sample_rate, title=title)
