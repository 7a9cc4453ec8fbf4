"""Shows on the terminal what `diptych gc` found."""

import collections
from collections.abc import Sequence

from rich import box
from rich.console import Console
from rich.table import Table

from pipeline.lineage.garbage import Folder
from pipeline.runner import decide

_UNITS = ("B", "kB", "MB", "GB", "TB")


def show(folders: Sequence[Folder], console: Console, *, is_live: bool = False, has_removed: bool = False) -> None:
    """Prints a table of what is removed and what is kept.

    Args:
        folders: What was found.
        console: Where to.
        is_live: Whether a run is using the root.
        has_removed: Whether what is removable has been removed.
    """
    verb = "Removed" if has_removed else "Can be removed"
    table = Table(box=box.ROUNDED)
    table.add_column("What", overflow="fold")
    for name in (verb, "Bytes", "Kept", "Bytes"):
        table.add_column(name, justify="left" if name == verb else "right", overflow="fold")
    groups: dict[str, list[Folder]] = collections.defaultdict(list)
    for folder in folders:
        groups[folder.group].append(folder)
    for group, members in groups.items():
        gone = [folder for folder in members if folder.fate == "removable"]
        kept = [folder for folder in members if folder.fate != "removable"]
        names = decide.first([folder.path.name for folder in gone])
        table.add_row(group, *_cells(gone, text=names), *_cells(kept, text=str(len(kept))))
    console.print(table)
    total = sum(folder.bytes for folder in folders if folder.fate == "removable")
    way = "" if has_removed or not total else " --delete removes it."
    _say(console, f"{verb}: {_size(total)} ({total:,} bytes).{way}")
    for fate, text in (
        ("unfinished", "unfinished work, which the next run of the same command continues"),
        ("unknown", "artifacts that the metadata does not know, which are left alone"),
    ):
        size = sum(folder.bytes for folder in folders if folder.fate == fate)
        if size:
            _say(console, f"Kept besides: {_size(size)} of {text}.")
    if is_live:
        _say(console, "A run is using the root: --delete is refused until it has ended.")


def _say(console: Console, text: str) -> None:
    console.print(text, markup=False, highlight=False, soft_wrap=True)


def _cells(folders: Sequence[Folder], *, text: str) -> tuple[str, str]:
    """Returns a text on some folders, and their size; or nothing if there are none."""
    return (text, _size(sum(folder.bytes for folder in folders))) if folders else ("", "")


def _size(size: int) -> str:
    """Returns a number of bytes for people: "512 B", "3.4 MB"."""
    value, unit = float(size), _UNITS[0]
    for unit in _UNITS:
        if value < 1000 or unit == _UNITS[-1]:
            break
        value /= 1000
    return f"{value:.0f} {unit}" if unit == "B" else f"{value:.1f} {unit}"
