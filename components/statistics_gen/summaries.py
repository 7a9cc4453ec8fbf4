"""The statistics as TensorBoard shows them: tables, pictures, and clips of each split to hear and see."""

from collections import Counter
from collections.abc import Mapping, Sequence

from etils import epath

from beam_jobs import examples
from components import tensorboard
from components.statistics_gen import pictures

_FIGURES = (
    "clips", "unlabelled_clips", "seconds", "mean_seconds", "min_seconds", "max_seconds",
    "mean_level_dbfs", "max_peak_dbfs", "silent_clips", "silent_time_share", "clipped_clips", "fingerprinted_clips",
)  # fmt: skip
_ROWS = 30


def write(document: Mapping, *, info: examples.ExamplesInfo, directory: epath.Path, players: int) -> None:
    """Writes the contents of a `statistics.json`, and some clips of each split, to event files in `directory`."""
    import tensorflow as tf

    splits, names = document["splits"], document["label_names"]
    with tensorboard.writer(directory).as_default(step=0):
        rows = [[name, *(f"{split[name]:,}" for split in splits.values())] for name in _FIGURES]
        tf.summary.text("statistics", tensorboard.markdown_table(["", *splits], rows))
        tf.summary.text("source formats", _source_formats(splits))
        if document["near_duplicates"]:
            tf.summary.text("near duplicates", _near_duplicates(document))
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


def _source_formats(splits: Mapping) -> str:
    """Clips by codec, suffix and rate of the file they came from."""
    counts = {
        split: {(row["codec"], row["suffix"], row["sample_rate"]): row["clips"] for row in figures["source_formats"]}
        for split, figures in splits.items()
    }
    total = sum((Counter(count) for count in counts.values()), Counter())
    rows = []
    for form, _ in sorted(total.items(), key=lambda item: (-item[1], str(item[0]))):
        codec, suffix, rate = form
        known = (codec or "not recorded", suffix or "none", f"{rate:,} Hz" if rate else "not recorded")
        rows.append([*known, *(f"{count.get(form, 0):,}" for count in counts.values())])
    return _first(["codec", "suffix", "sample rate", *counts], rows)


def _near_duplicates(document: Mapping) -> str:
    """Pairs of clips that sound the same in two splits: how many, and the first of them."""
    rows, listed = [], []
    for entry in document["near_duplicates"]:
        a, b = entry["splits"]
        shares = [f"{n:,} of {document['splits'][s]['clips']:,}" for s, n in zip((a, b), entry["clips"], strict=True)]
        rows.append((f"{a}, {b}", f"{entry['pairs']:,}", *shares))
        listed += [(a, first, b, second, shared) for first, second, shared in entry["listed"]]
    table = tensorboard.markdown_table(("splits", "pairs", "clips of the first", "clips of the second"), rows)
    if not listed:
        return table
    return f"{table}\n\n{_first(('split', 'clip', 'split', 'clip', 'shared keys'), listed)}"


def _label_pairs(splits: Mapping, *, names: Sequence[str]) -> str:
    pairs = pictures.pairs_of(splits)
    rows = [(f"{count:,}", names[i], names[j]) for (i, j), count in sorted(pairs.items(), key=lambda p: (-p[1], p[0]))]
    found = ", ".join(f"{figures['label_pairs_found']:,} in {split}" for split, figures in splits.items())
    table = tensorboard.markdown_table(("clips", "class", "with"), rows[:_ROWS])
    return f"Pairs of classes that occur: {found}; the most frequent:\n\n{table}"


def _first(header: Sequence[str], rows: Sequence[Sequence[object]]) -> str:
    table = tensorboard.markdown_table(header, rows[:_ROWS])
    return f"The first {_ROWS} of {len(rows):,}\n\n{table}" if len(rows) > _ROWS else table


def _clips(info: examples.ExamplesInfo, *, split: str, count: int) -> None:
    for i, example in enumerate(examples.dataset(info.directory, split).take(count).as_numpy_iterator()):
        labels = ", ".join(info.label_names[label] for label in example["labels"])
        title = f"{example['clip_id'].decode()} {labels}".strip()
        tensorboard.clip(f"{split}/{i:02d}", example["audio"], sample_rate=info.sample_rate, title=title)
