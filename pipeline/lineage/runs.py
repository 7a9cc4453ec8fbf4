"""Lists runs: when they were, how they ended, and what score their model got."""

import dataclasses
import time
from collections.abc import Mapping, Sequence

from rich import box
from rich.console import Console
from rich.markup import escape
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from pipeline.console import report
from pipeline.console.durations import duration
from pipeline.lineage import comparison
from pipeline.metadata.executions import REFUSED, Execution, Run, State
from pipeline.metadata.history import History
from pipeline.metadata.store import MetadataStore
from pipeline.runner import decide

SCORE = "both"
"""The set of features that is the model's whole embedding."""

_MIN_CHANGES_WIDTH = 24

_ENDS = {State.FAILED: "failed", State.CANCELED: "stopped", State.RUNNING: "running"}
_STYLES = {"finished": "green", "failed": "red", "refused": "red", "stopped": "yellow", "killed": "yellow"}


@dataclasses.dataclass(frozen=True, kw_only=True)
class Row:
    """One run.

    Attributes:
        name: Its name.
        preset: Name of the preset that the config started from.
        started_ms: When it started, in milliseconds since 1970.
        seconds: How long it took, as far as it got.
        outcome: "finished", or how it ended and in which stage.
        score: What the probe says of the model, with the metric, or "".
        changes: What differs from the config and the data of the run before.
    """

    name: str
    preset: str
    started_ms: int
    seconds: float
    outcome: str
    score: str
    changes: Sequence[str]


def rows(store: MetadataStore, *, newest: int | None, is_live: bool) -> list[Row]:
    """Returns the runs of a root, oldest first.

    Args:
        store: The metadata of the root.
        newest: At most so many, the newest; None: all.
        is_live: Whether a process is running on the root now.
    """
    runs = store.runs()
    first = 0 if newest is None else max(0, len(runs) - newest)
    stages_of_runs = [_stages(store, run) for run in runs[first:]]
    before = _last_before(store, stages_of_runs) if first else {}
    result: list[Row] = []
    for run, stages in zip(runs[first:], stages_of_runs, strict=True):
        row = _row(run, stages, before=before, is_live=is_live and run is runs[-1])
        result.append(row)
        before = {**before, **stages}
    return result


def show(found: Sequence[Row], console: Console) -> None:
    """Prints runs: as a table, or as paragraphs where the console is too narrow for it."""
    table = Table(box=box.ROUNDED)
    for name in ("Run", "Started", "Preset", "Outcome", "Score", "Time"):
        table.add_column(name, no_wrap=True, justify="right" if name in ("Score", "Time") else "left")
    table.add_column("Changed since the run before", overflow="fold", min_width=_MIN_CHANGES_WIDTH)
    for row in found:
        table.add_row(*_cells(row), escape(decide.first(row.changes)))
    if console.width >= console.measure(table, options=console.options.update_width(report.WIDE)).minimum:
        console.print(table)
        return
    for row in found:
        name, *cells = _cells(row)
        console.print(f"[bold]{name}[/]", ", ".join(filter(None, cells)), highlight=False, soft_wrap=True)
        if row.changes:
            changes = Text(decide.first(row.changes), overflow="fold", style="dim")
            console.print(Padding(changes, (0, 0, 0, 2), expand=False))


def _cells(row: Row) -> tuple[str, ...]:
    """Returns what is shown of a run except the changes, marked up."""
    style = _STYLES.get(row.outcome.partition(" ")[0].rstrip(":"), "bold")
    started = time.strftime("%Y-%m-%d %H:%M", time.localtime(row.started_ms / 1000))
    outcome = f"[{style}]{escape(row.outcome)}[/]"
    return (escape(row.name), started, escape(row.preset), outcome, escape(row.score), duration(row.seconds))


def _stages(store: MetadataStore, run: Run) -> dict[str, Execution]:
    return {execution.stage: execution for execution in store.executions(run=run)}


def _last_before(store: MetadataStore, runs: Sequence[Mapping[str, Execution]]) -> dict[str, Execution]:
    """Returns the last execution of each stage before some runs. The run before may not have gone through all."""
    oldest = min((execution.id for stages in runs for execution in stages.values()), default=None)
    names = dict.fromkeys(stage for stages in runs for stage in stages)
    found = {stage: History(store, stage, below=oldest).last() for stage in names}
    return {stage: execution for stage, execution in found.items() if execution is not None}


def _row(run: Run, stages: Mapping[str, Execution], *, before: Mapping[str, Execution], is_live: bool) -> Row:
    ends_ms = [execution.started_ms + execution.seconds * 1000 for execution in stages.values()]
    if is_live:
        ends_ms.append(time.time() * 1000)
    return Row(
        name=run.name,
        preset=run.preset,
        started_ms=run.started_ms,
        seconds=max([0.0, *((end - run.started_ms) / 1000 for end in ends_ms)]),
        outcome=_outcome(run, stages, is_live=is_live),
        score=_score(stages),
        changes=comparison.summary(before, stages),
    )


def _outcome(run: Run, stages: Mapping[str, Execution], *, is_live: bool) -> str:
    for stage, execution in stages.items():
        if execution.state in _ENDS:
            word = _ENDS[execution.state]
            if execution.state == State.RUNNING and not is_live:
                word = "killed"
            elif execution.why == REFUSED:
                word = "refused"
            return f"{word}: {stage}"
    if is_live:
        return "running"
    missing = [stage for stage in run.stages if stage not in stages]
    if not missing:
        return "finished"
    last = next(reversed(stages), None)
    return f"ended after {last}" if last else "ended before its first stage"


def _score(stages: Mapping[str, Execution]) -> str:
    """Returns the score of the model with its metric, e.g. "0.986 mAP", or "" if the run has none."""
    execution = stages.get(report.EVALUATION[0])
    score = execution.figures.get(SCORE) if execution else None
    if execution is None or not isinstance(score, int | float):
        return ""
    artifact = execution.outputs.get(report.EVALUATION[1])
    metric = report.evaluation(artifact.uri).get("metric", "") if artifact else ""
    return f"{score:.3f} {metric}".strip()
