"""The clips that were left out: their report as CSV and in TensorBoard, and the bound on how many there may be."""

import csv
import io
from collections import Counter
from collections.abc import Mapping, Sequence

import numpy as np
from etils import epath

from components import base, errors, tensorboard

REPORT = "quarantine.csv"
_COLUMNS = ("clip_id", "path", "cause", "message")
_SHOWN_ROWS = 100
_NAMED_CAUSES = 3
_FIGURE = "quarantined_"


def write_report(folder: epath.Path, quarantined: Sequence[Mapping[str, str]]) -> None:
    """Writes `quarantine.csv`, one line a clip."""
    buffer = io.StringIO()
    table = csv.DictWriter(buffer, _COLUMNS, lineterminator="\n")
    table.writeheader()
    table.writerows(quarantined)
    (folder / REPORT).write_text(buffer.getvalue())


def check_bound(counts: Counter[str], *, listed: int, bound: float | None, report: epath.Path) -> None:
    """Refuses a source of which too much was left out.

    Args:
        counts: How many clips by cause.
        listed: How many clips there were in all.
        bound: The share that may be left out; None for any.
        report: Where each is listed.

    Raises:
        UserError: naming the top causes, the report and the way out.
    """
    share = counts.total() / max(1, listed)
    if bound is None or share <= bound:
        return
    raise errors.UserError(
        f"{counts.total():,} of {listed:,} clips ({share:.1%}) were quarantined, more than "
        f"audio_example_gen.max_quarantine={bound:.4g}: {causes(counts, most=_NAMED_CAUSES)}; {report} lists each "
        "with its reason: repair them, or raise the bound (--max-quarantine)"
    )


def causes(counts: Counter[str], *, most: int | None = None) -> str:
    """The counts by cause, the most frequent first: "12 missing, 3 truncated"."""
    ranked = counts.most_common()
    shown = [f"{number:,} {cause}" for cause, number in ranked[:most]]
    if len(ranked) > len(shown):
        shown.append(f"{sum(number for _, number in ranked[len(shown) :]):,} others")
    return ", ".join(shown)


def count(quarantined: Sequence[Mapping[str, str]]) -> Counter[str]:
    """How many clips by cause."""
    return Counter(entry["cause"] for entry in quarantined)


def to_figures(counts: Counter[str]) -> dict[str, int]:
    """The counts by cause as figures of the stage, which `of_figures` reads back."""
    return {f"{_FIGURE}{cause.replace(' ', '_')}": number for cause, number in counts.items()}


def of_figures(figures: Mapping[str, float | int | str]) -> Counter[str]:
    """The counts by cause of a finished execution."""
    found = {name.removeprefix(_FIGURE): int(value) for name, value in figures.items() if name.startswith(_FIGURE)}
    return Counter({cause.replace("_", " "): number for cause, number in found.items()})


def show(quarantined: Sequence[Mapping[str, str]], *, context: base.StageContext) -> None:
    """Writes the table, a bar chart and a scalar per cause to TensorBoard."""
    import tensorflow as tf

    counts = count(quarantined)
    with tensorboard.writer(context.tensorboard_dir).as_default(step=0):
        tf.summary.scalar("quarantined/all", len(quarantined))
        if not quarantined:
            return
        for cause, number in counts.items():
            tf.summary.scalar(f"quarantined/{cause.replace(' ', '_')}", number)
        tf.summary.image("quarantine/causes", _bars(counts))
        rows = [[entry[column] for column in _COLUMNS] for entry in quarantined[:_SHOWN_ROWS]]
        title = f"The first {len(rows)} of {len(quarantined):,} ({causes(counts)})\n\n"
        table = tensorboard.markdown_table(("clip", "file", "cause", "message"), rows)
        tf.summary.text("quarantine", title + table)


def _bars(counts: Counter[str]) -> np.ndarray:
    names, numbers = zip(*reversed(counts.most_common()), strict=True)
    fig = tensorboard.figure(width=8.0, height=1.0 + 0.4 * len(names))
    axes = fig.add_subplot()
    axes.bar_label(axes.barh(names, numbers), labels=[f"{number:,}" for number in numbers], padding=3)
    axes.set(xlabel="clips", title="Quarantined by cause")
    return tensorboard.figure_image(fig)
