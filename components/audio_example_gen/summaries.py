"""What AudioExampleGen shows in TensorBoard: numbers of clips, some clips to listen to, and the quarantine."""

from collections import Counter
from collections.abc import Mapping, Sequence

import numpy as np
import tensorflow as tf
from etils import epath

from beam_jobs import examples, sources
from components import markdown, tensorboard
from components.audio_example_gen import quarantine

_SHOWN_CLIPS = 4
_SHOWN_ROWS = 100


def write_clips(
    info: examples.ExamplesInfo,
    *,
    listing: sources.Listing,
    quarantined: int,
    quarantined_parts: int,
    directory: epath.Path,
) -> None:
    """Writes the number of clips of each split, and the first clips of the first split as players and pictures.

    Args:
        info: The published examples.
        listing: The source. What is left out of it is counted, and missing labels are explained.
        quarantined: Number of quarantined clips.
        quarantined_parts: Number of quarantined parts of recordings whose other parts are stored.
        directory: Where the event files go.
    """
    left_out = [(f"left out: {reason}", count) for reason, count in listing.ignored.items()]
    parts = [("quarantined parts of recordings", quarantined_parts)] if quarantined_parts else []
    counts = [*info.splits.items(), ("quarantined", quarantined), *parts, *left_out]
    table = tensorboard.markdown_table(("what", "clips"), [(name, f"{count:,}") for name, count in counts])
    with tensorboard.writer(directory).as_default(step=0):
        tf.summary.text("clips", f"{table}\n\n{markdown.escaped(listing.no_labels)}".strip())
        for split, count in info.splits.items():
            tf.summary.scalar(f"clips/{split}", count)
        split = next(iter(info.splits))
        for example in examples.dataset(info.directory, split).take(_SHOWN_CLIPS).as_numpy_iterator():
            clip_id = example["clip_id"].decode()
            labels = ", ".join(info.label_names[label] for label in example["labels"])
            title = f"{clip_id} {labels}".strip()
            tensorboard.clip(f"{split}/{clip_id}", example["audio"], sample_rate=info.sample_rate, title=title)


def write_quarantine(quarantined: Sequence[Mapping[str, str]], *, directory: epath.Path) -> None:
    """Writes the number of quarantined clips by cause, as scalars and as a bar chart, and a table of the first ones."""
    counts = quarantine.count(quarantined)
    with tensorboard.writer(directory).as_default(step=0):
        tf.summary.scalar("quarantined/all", len(quarantined))
        if not quarantined:
            return
        for cause, number in counts.items():
            tf.summary.scalar(f"quarantined/{quarantine.figure_name(cause)}", number)
        tf.summary.image("quarantine/causes", _bars(counts))
        rows = [[entry[column] for column in quarantine.COLUMNS] for entry in quarantined[:_SHOWN_ROWS]]
        heading = f"The first {len(rows)} of {len(quarantined):,} ({quarantine.describe(counts)})"
        table = tensorboard.markdown_table(("clip", "file", "cause", "message"), rows)
        tf.summary.text("quarantine", f"{heading}\n\n{table}")


def _bars(counts: Counter[str]) -> np.ndarray:
    names, numbers = zip(*reversed(counts.most_common()), strict=True)
    fig = tensorboard.figure(width=8.0, height=1.0 + 0.4 * len(names))
    axes = fig.add_subplot()
    bars = axes.barh(names, numbers)
    axes.bar_label(bars, labels=[f"{number:,}" for number in numbers], padding=3)
    axes.set(xlabel="clips", title="Quarantined by cause")
    return tensorboard.figure_image(fig)
