"""The report of a run, from its metadata: a table per stage, the probe's scores and where to look next."""

import dataclasses
import json
import shlex
import time
from collections.abc import Mapping

from etils import epath
from rich import box
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from pipeline.console.progress import duration
from pipeline.metadata.store import Execution, MetadataStore, Run, State
from pipeline.root import Root

OUTCOMES = {
    State.RUNNING: "running",
    State.COMPLETE: "ran",
    State.FAILED: "failed",
    State.CACHED: "skipped",
    State.CANCELED: "stopped",
}
STYLES = {"ran": "green", "skipped": "cyan", "failed": "red", "stopped": "yellow", "running": "bold", "not run": "dim"}
UNTRAINED = "untrained/"
BASELINES = {"mfcc_mean_std": "MFCC mean+std"}
BRANCHES = {"both": "both, concatenated"}


@dataclasses.dataclass(frozen=True, kw_only=True)
class StageRow:
    """One stage in the table; `outcome` is one of the keys of `STYLES`."""

    stage: str
    outcome: str
    why: str = ""
    seconds: float = 0.0
    summary: str = ""
    figures: Mapping[str, float | int | str] = dataclasses.field(default_factory=dict)
    outputs: Mapping[str, str] = dataclasses.field(default_factory=dict)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Report:
    """What a run came to; `report.json` holds just this.

    Attributes:
        run: Its name.
        preset: Where its config came from.
        started: Local time, ISO 8601.
        stages: One row each, in order.
        evaluation: The Evaluator's `probe`, `metric` and `scores`, or empty.
        saved_model: Folder of the exported SavedModel, or empty.
        tensorboard: The command that shows it all.
    """

    run: str
    preset: str
    started: str
    stages: tuple[StageRow, ...]
    evaluation: Mapping[str, object]
    saved_model: str
    tensorboard: str

    def to_json(self) -> str:
        """As written to `report.json`."""
        return json.dumps(dataclasses.asdict(self), indent=2) + "\n"


def build(store: MetadataStore, run: Run, *, root: Root, is_live: bool = True) -> Report:
    """Reads a run's report out of the metadata.

    Args:
        store: The metadata.
        run: Which run.
        root: Where it ran.
        is_live: Whether its process may still be there; a stage left running by one that is not was killed.
    """
    executions = {execution.stage: execution for execution in store.executions(run=run)}
    saved_model = _output(executions, "Exporter", "saved_model")
    return Report(
        run=run.name,
        preset=run.preset,
        started=time.strftime("%Y-%m-%dT%H:%M:%S", time.localtime(run.started_ms / 1000)),
        stages=tuple(_row(stage, executions.get(stage), is_live=is_live) for stage in run.stages),
        evaluation=_evaluation(_output(executions, "Evaluator", "evaluation")),
        saved_model=saved_model,
        tensorboard=f"tensorboard --logdir {shlex.quote(str(root.tensorboard))}",
    )


def show(report: Report, console: Console) -> None:
    """Prints the report."""
    stages = Table(title=f"Run {report.run}, preset {report.preset}", title_justify="left", box=box.ROUNDED)
    for heading, options in {
        "Stage": {"no_wrap": True},
        "Outcome": {"no_wrap": True},
        "Time": {"no_wrap": True, "justify": "right"},
        "Result and why it ran or not": {"overflow": "fold"},
    }.items():
        stages.add_column(heading, **options)
    for row in report.stages:
        text = [escape(row.summary)] if row.summary else []
        text += [f"[dim]{escape(row.why)}[/]"] if row.why not in ("", "first run") else []
        took = duration(row.seconds) if row.outcome in ("ran", "failed", "stopped") else ""
        stages.add_row(row.stage, f"[{STYLES[row.outcome]}]{row.outcome}[/]", took, "\n".join(text))
    console.print()
    console.print(stages)
    if report.evaluation.get("scores"):
        console.print(_score_table(report.evaluation))
    for label, value in {"SavedModel": report.saved_model, "Look at it": report.tensorboard}.items():
        if value:
            console.print(f"{label + ':':12} {value}", markup=False, highlight=False, soft_wrap=True)


def _score_table(evaluation: Mapping[str, object]) -> Table:
    scores = dict(evaluation["scores"])
    title = f"{evaluation.get('probe', 'linear')} probe, {evaluation.get('metric', 'score')}"
    table = Table(title=title, title_justify="left", box=box.ROUNDED)
    table.add_column("Embedding")
    table.add_column("trained", justify="right")
    table.add_column("untrained", justify="right")
    names = dict.fromkeys(name.removeprefix(UNTRAINED) for name in scores)
    for name in sorted(names, key=lambda name: (name in BASELINES, name in BRANCHES)):
        own, untrained = scores.get(name), scores.get(UNTRAINED + name)
        if name in BASELINES:
            table.add_row(BASELINES[name], "", _score(own))
        else:
            table.add_row(BRANCHES.get(name, name), _score(own), _score(untrained))
    return table


def _score(value: object) -> str:
    return f"{value:.3f}" if isinstance(value, int | float) else ""


def _row(stage: str, execution: Execution | None, *, is_live: bool) -> StageRow:
    if execution is None:
        return StageRow(stage=stage, outcome="not run")
    if execution.state == State.RUNNING and not is_live:
        return StageRow(stage=stage, outcome="stopped", why=execution.why, summary="killed")
    return StageRow(
        stage=stage,
        outcome=OUTCOMES[execution.state],
        why=execution.why,
        seconds=round(execution.seconds, 3),
        summary=execution.summary,
        figures=execution.figures,
        outputs={channel: artifact.uri for channel, artifact in execution.outputs.items()},
    )


def _output(executions: Mapping[str, Execution], stage: str, channel: str) -> str:
    execution = executions.get(stage)
    return execution.outputs[channel].uri if execution and channel in execution.outputs else ""


def _evaluation(folder: str) -> dict[str, object]:
    file = epath.Path(folder) / "metrics.json"
    if not folder or not file.exists():
        return {}
    metrics = json.loads(file.read_text())
    return {key: metrics[key] for key in ("probe", "metric", "scores") if key in metrics}
