"""Prints the results."""

from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from pipeline.experiments.outputs import tables, wording
from pipeline.experiments.results import CellResult, Results


def show(results: Results, console: Console) -> None:
    """Prints a row for each cell: what all its features score, and what that took."""
    reference = results.experiment.reference
    table = Table(title=results.experiment.heading, title_justify="left", box=box.ROUNDED)
    table.add_column("Cell", overflow="fold")
    headers = (results.metric, "95 % interval", "untrained", *((f"against {reference}",) if reference else ()))
    for name in (*headers, "seeds", "steps", "CPU min"):
        table.add_column(name, justify="right")
    for name, result in results.cells.items():
        table.add_row(Text(name), *_cells(results, result))
    console.print(table)
    for error in results.errors:
        console.print(Text(f"failed: {error}", style="red"), soft_wrap=True)


def _cells(results: Results, result: CellResult) -> list[str]:
    summary = result.summary()
    cells = [wording.score(summary), wording.interval(summary), wording.score(tables.untrained(result, "both"))]
    if results.experiment.reference:
        cells.append(wording.difference(results.difference(result)))
    steps, _, minutes = wording.cost(results, result)
    return [*cells, str(summary.count) if summary else "0", steps, minutes]
