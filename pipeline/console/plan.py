"""Shows a plan as a table."""

from rich import box
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from pipeline.runner.plan import Outcome, Plan

_STYLES: dict[Outcome, str] = {
    "runs": "green",
    "skipped": "cyan",
    "depends": "yellow",
    "refused": "red",
    "not run": "dim",
}


def show(plan: Plan, console: Console, *, preset: str) -> None:
    """Prints a plan."""
    table = Table(title=f"Plan of a run, preset {preset}", title_justify="left", box=box.ROUNDED)
    table.add_column("Stage", no_wrap=True)
    table.add_column("Outcome", no_wrap=True)
    table.add_column("Why", overflow="fold")
    for stage in plan.stages:
        table.add_row(stage.stage, f"[{_STYLES[stage.outcome]}]{stage.outcome}[/]", escape(stage.why))
    console.print()
    console.print(table)
    console.print("This is a plan: nothing was run, and nothing was written.", highlight=False)
