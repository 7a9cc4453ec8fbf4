"""Shows a plan as a table."""

import types
from collections.abc import Mapping

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


def show(
    plan: Plan, console: Console, *, preset: str, hourly_costs: Mapping[str, float] = types.MappingProxyType({})
) -> None:
    """Prints a plan.

    Args:
        plan: The plan.
        console: Where to.
        preset: Name of the preset.
        hourly_costs: Name of a stage -> what an hour of it costs.
    """
    table = Table(title=f"Plan of a run, preset {preset}", title_justify="left", box=box.ROUNDED)
    table.add_column("Stage", no_wrap=True)
    table.add_column("Outcome", no_wrap=True)
    table.add_column("Why", overflow="fold")
    for stage in plan.stages:
        why = stage.why
        if stage.expected is not None:
            why += f"\n{stage.expected.with_cost(hourly_costs.get(stage.stage))}"
        table.add_row(stage.stage, f"[{_STYLES[stage.outcome]}]{stage.outcome}[/]", escape(why))
    console.print()
    console.print(table)
    if any(stage.outcome == "runs" and stage.expected is None for stage in plan.stages):
        text = "What has not finished here yet is estimated in the run, after a minute of its work."
        console.print(text, highlight=False)
    console.print("This is a plan: nothing was run, and nothing was written.", highlight=False)
