"""Prints the results."""

from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from pipeline.experiments.outputs import tables, wording
from pipeline.experiments.results import CellResult, Results

_WIDE = 1000
"""Columns in which any table fits."""


def show(results: Results, console: Console) -> None:
    """Prints a row for each cell that has run: what all its features score, and what that took.

    Where the console is too narrow for all, only what matters most is shown.
    """
    wide, narrow = (_table(results, wide=wide) for wide in (True, False))
    fits = console.measure(wide, options=console.options.update_width(_WIDE)).maximum <= console.width
    console.print(wide if fits else narrow)
    unequal = wording.unequal_machines(results)
    if unequal:
        console.print(Text(unequal, style="yellow"), soft_wrap=True)
    for error in results.errors:
        console.print(Text(f"failed: {error}", style="red"), soft_wrap=True)


def _table(results: Results, *, wide: bool) -> Table:
    table = Table(title=results.experiment.heading, title_justify="left", box=box.ROUNDED)
    ran = {name: result for name, result in results.cells.items() if result.by_seed() or result.errors}
    rows = {name: _row(results, result, wide=wide) for name, result in ran.items()}
    table.add_column("Cell", overflow="fold")
    for name in _row(results, next(iter(results.cells.values())), wide=wide):
        table.add_column(name, justify="right", no_wrap=True)
    for name, row in rows.items():
        table.add_row(Text(name), *row.values())
    return table


def _row(results: Results, result: CellResult, *, wide: bool) -> dict[str, str]:
    """Returns heading -> content of the columns after the first one."""
    summary, before = result.summary(), tables.untrained(result, "both")
    steps, _, minutes = wording.cost(results, result)
    compared = wording.difference(results.difference(result), seeds=summary.count if summary else 0)
    row = {
        results.metric: wording.score(summary),
        "95 % interval": wording.interval(summary),
        "untrained": wording.score(before),
        "difference": compared,
        "seeds": str(summary.count) if summary else "0",
        "steps": steps,
        "CPU min": minutes,
    }
    if not wide:
        del row["95 % interval"], row["CPU min"]
        row |= {"untrained": wording.number(before and before.mean), "difference": compared.partition(" ")[0]}
    if not results.experiment.reference:
        del row["difference"]
    return row
