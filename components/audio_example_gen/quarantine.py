"""The quarantine, which holds the clips that cannot be used: its report, its causes and the bound on its size."""

from collections import Counter
from collections.abc import Mapping, Sequence

from etils import epath

from components import base, csv_rows
from components.errors import UserError

REPORT = "quarantine.csv"
TRANSIENT = "transient"
"""Figure of the stage: the number of quarantined clips whose failure need not be damage of the file."""

COLUMNS = ("clip_id", "path", "cause", "message")
_NAMED_CAUSES = 3
_FIGURE_PREFIX = "quarantined_"


def write_report(folder: epath.Path, quarantined: Sequence[Mapping[str, str]]) -> None:
    """Writes `quarantine.csv`, one row per quarantined clip."""
    rows = ([row[column] for column in COLUMNS] for row in quarantined)
    (folder / REPORT).write_text(csv_rows.to_text([COLUMNS, *rows]))


def check_bound(counts: Counter[str], *, listed: int, bound: float | None, report: epath.Path) -> None:
    """Checks that the share of quarantined clips is within its bound.

    Args:
        counts: Number of quarantined clips by cause.
        listed: Number of clips that the source lists.
        bound: Largest acceptable share of quarantined clips; None for no bound.
        report: The file that lists the quarantined clips.

    Raises:
        UserError: The share is above the bound. The message names the most frequent causes and the report.
    """
    share = counts.total() / max(1, listed)
    if bound is None or share <= bound:
        return
    raise UserError(
        f"{counts.total():,} of {listed:,} clips ({share:.1%}) were quarantined, more than "
        f"audio_example_gen.max_quarantine={bound:.4g}: {describe(counts, limit=_NAMED_CAUSES)}; {report} lists each "
        "with its reason; repair the files, or raise the bound (--max-quarantine)"
    )


def count(quarantined: Sequence[Mapping[str, str]]) -> Counter[str]:
    """Counts quarantined clips by cause."""
    return Counter(entry["cause"] for entry in quarantined)


def describe(counts: Counter[str], *, limit: int | None = None) -> str:
    """Lists counts by cause, most frequent first: "12 missing, 3 truncated".

    Args:
        counts: Number of clips by cause.
        limit: Number of causes to name. The clips of the other causes are added up as "others". None names all causes.
    """
    ranked = counts.most_common()
    parts = [f"{number:,} {cause}" for cause, number in ranked[:limit]]
    others = ranked[len(parts) :]
    if others:
        parts.append(f"{sum(number for _, number in others):,} others")
    return ", ".join(parts)


def figure_name(cause: str) -> str:
    """Returns a cause as one word, e.g. "too_short"."""
    return cause.replace(" ", "_")


def to_figures(counts: Counter[str]) -> dict[str, int]:
    """Returns the counts by cause as figures of the stage; `from_figures` reads them back."""
    return {f"{_FIGURE_PREFIX}{figure_name(cause)}": number for cause, number in counts.items()}


def from_figures(figures: base.Figures) -> Counter[str]:
    """Returns the counts by cause of a finished execution."""
    counts: Counter[str] = Counter()
    for name, value in figures.items():
        if name.startswith(_FIGURE_PREFIX):
            counts[name.removeprefix(_FIGURE_PREFIX).replace("_", " ")] = int(value)
    return counts
