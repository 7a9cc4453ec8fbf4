"""Prints the scores of an evaluation."""

from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from pipeline.evaluation.report.content import Content

_WIDE = 1000
"""Columns in which any table fits."""


def show(content: Content, console: Console) -> None:
    """Prints the verdict and the table of scores; without the other metrics where the console is too narrow."""
    if content.scores:
        wide, narrow = (_table(content, others=others) for others in (True, False))
        fits = console.measure(wide, options=console.options.update_width(_WIDE)).maximum <= console.width
        console.print(wide if fits else narrow)
    console.print(Text(content.verdict), soft_wrap=True)


def _table(content: Content, *, others: bool) -> Table:
    table = Table(box=box.ROUNDED)
    table.add_column("Embedding", overflow="fold")
    for name in (content.metric, "95 % interval", *(content.other_metrics if others else ())):
        table.add_column(name, justify="right", no_wrap=True)
    for row in content.scores:
        interval = "" if row.low is None or row.high is None else f"{row.low:.3f} to {row.high:.3f}"
        cells = [f"{row.score:.3f}", interval]
        cells += ["" if value is None else f"{value:.3f}" for value in (row.others if others else ())]
        table.add_row(Text(row.name), *cells, style="bold" if row.is_model else None)
    return table
