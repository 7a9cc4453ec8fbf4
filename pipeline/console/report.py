"""The report of a run, read from its metadata: a table of stages, the scores of the probe and where the results are."""

import dataclasses
import functools
import json
import time
from collections.abc import Mapping

from absl import logging
from etils import epath
from rich import box
from rich.cells import cell_len
from rich.console import Console
from rich.markup import escape
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from beam_jobs import command_lines, google_storage
from pipeline.console.durations import duration
from pipeline.metadata.executions import Execution, Run, State
from pipeline.metadata.store import MetadataStore
from pipeline.root import Root

OUTCOMES = {
    State.RUNNING: "running",
    State.COMPLETE: "ran",
    State.FAILED: "failed",
    State.CACHED: "skipped",
    State.CANCELED: "stopped",
}
STYLES = {"ran": "green", "skipped": "cyan", "failed": "red", "stopped": "yellow", "running": "bold", "not run": "dim"}
TIMED_OUTCOMES = ("ran", "failed", "stopped")
OBVIOUS = ("", "first run")
"""Reasons why a stage ran that are not shown."""

BORDERS_WIDTH = 13
"""Columns that the lines of a table of four columns take, with the space beside them."""

MIN_RESULT_WIDTH = 32
"""With less room for the results, the table is hard to read."""

SCORE_HEADER = ("Embedding", "trained", "untrained")

WIDE = 1000
"""Columns in which any table of scores fits."""

# Names in the scores of the Evaluator.
UNTRAINED_PREFIX = "untrained/"
BASELINES = {"mfcc_mean_std": "MFCC mean+std"}
COMBINATIONS = {"both": "both, concatenated"}

# The artifacts that the report names.
EVALUATION = ("Evaluator", "evaluation")
SAVED_MODEL = ("Exporter", "saved_model")


@dataclasses.dataclass(frozen=True, kw_only=True)
class StageRow:
    """One stage in the table.

    Attributes:
        stage: Name of the stage.
        outcome: A key of `STYLES`.
        why: Why the stage ran or was skipped.
        seconds: How long it took.
        summary: One line from the stage.
        figures: Numbers that the stage reported.
        outputs: Output channel -> published folder.
    """

    stage: str
    outcome: str
    why: str = ""
    seconds: float = 0.0
    summary: str = ""
    figures: Mapping[str, float | int | str] = dataclasses.field(default_factory=dict)
    outputs: Mapping[str, str] = dataclasses.field(default_factory=dict)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Report:
    """The outcome of a run. These are also the fields of `report.json`.

    Attributes:
        run: Name of the run.
        preset: Name of the preset that the config started from.
        started: Local time, ISO 8601.
        stages: One row per stage, in order.
        evaluation: `probe`, `metric` and `scores` of the Evaluator, or empty.
        saved_model: Folder of the exported SavedModel, or empty.
        tensorboard: The command that shows the event files.
    """

    run: str
    preset: str
    started: str
    stages: tuple[StageRow, ...]
    evaluation: Mapping[str, object]
    saved_model: str
    tensorboard: str

    def to_json(self) -> str:
        """Returns the content of `report.json`."""
        return json.dumps(dataclasses.asdict(self), indent=2) + "\n"


def build(store: MetadataStore, run: Run, *, root: Root, is_live: bool = True) -> Report:
    """Reads the report of a run from the metadata.

    Args:
        store: The metadata.
        run: The run.
        root: The root folder of the run.
        is_live: Whether the process of the run may still exist. Otherwise a stage that is recorded as running was
            killed.
    """
    executions = {execution.stage: execution for execution in store.executions(run=run)}
    return Report(
        run=run.name,
        preset=run.preset,
        started=time.strftime("%Y-%m-%dT%H:%M:%S", time.localtime(run.started_ms / 1000)),
        stages=tuple(_row(stage, executions.get(stage), is_live=is_live) for stage in run.stages),
        evaluation=evaluation(_output_folder(executions, *EVALUATION)),
        saved_model=_output_folder(executions, *SAVED_MODEL),
        tensorboard=command_lines.tensorboard(str(root.tensorboard)),
    )


def show(report: Report, console: Console) -> None:
    """Prints a report: as tables, or as paragraphs where the console is too narrow for them to be read."""
    console.print()
    _show_stages(report, console)
    if report.evaluation.get("scores"):
        _show_scores(report.evaluation, console)
    if report.saved_model:
        _print_line(console, "SavedModel:", report.saved_model)
    _print_line(console, "TensorBoard:", report.tensorboard)


def _print_line(console: Console, label: str, value: str) -> None:
    console.print(f"{label:12} {value}", markup=False, highlight=False, soft_wrap=True)


def _show_stages(report: Report, console: Console) -> None:
    titles = (f"Run {report.run}", f"preset {report.preset}")
    rows = [(row.stage, row.outcome, time_of(row), _result(row)) for row in report.stages]
    header = ("Stage", "Outcome", "Time")
    fixed_width = sum(max(cell_len(cells[column]) for cells in (header, *rows)) for column in range(len(header)))
    if console.width < fixed_width + BORDERS_WIDTH + MIN_RESULT_WIDTH:
        console.print(*titles, "", sep="\n", highlight=False)
        for stage, outcome, took, result in rows:
            console.print(f"{stage}: {_styled(outcome)}{took and f', {took}'}", highlight=False)
            _print_indented(console, result)
        return
    table = Table(title=", ".join(titles), title_justify="left", box=box.ROUNDED)
    for name in header:
        table.add_column(name, no_wrap=True, justify="right" if name == "Time" else "left")
    table.add_column("Result and why it ran or not", overflow="fold")
    for stage, outcome, took, result in rows:
        table.add_row(stage, _styled(outcome), took, result)
    console.print(table)


def time_of(row: StageRow) -> str:
    """Returns how long a stage took, for people; "" if it did not run or is running."""
    return duration(row.seconds) if row.outcome in TIMED_OUTCOMES else ""


def _result(row: StageRow) -> str:
    """Returns what the stage did and why, as marked-up lines."""
    lines = []
    if row.summary:
        lines.append(escape(row.summary))
    if row.why not in OBVIOUS:
        lines.append(f"[dim]{escape(row.why)}[/]")
    return "\n".join(lines)


def _styled(outcome: str) -> str:
    return f"[{STYLES[outcome]}]{outcome}[/]"


def _print_indented(console: Console, text: str) -> None:
    if text:
        console.print(Padding(Text.from_markup(text, overflow="fold"), (0, 0, 0, 2), expand=False))


def _show_scores(evaluation: Mapping[str, object], console: Console) -> None:
    title, rows = score_title(evaluation), score_rows(evaluation)
    table = Table(title=title, title_justify="left", box=box.ROUNDED)
    for name in SCORE_HEADER:
        table.add_column(name, justify="left" if name == "Embedding" else "right")
    for row in rows:
        table.add_row(*row)
    if console.width >= console.measure(table, options=console.options.update_width(WIDE)).maximum:
        console.print(table)
        return
    console.print(title, highlight=False)
    for name, trained, untrained in rows:
        console.print(f"{name}:", highlight=False, markup=False)
        scores = [f"{score} {kind}" for score, kind in ((trained, "trained"), (untrained, "untrained")) if score]
        _print_indented(console, "\n".join(scores))


def score_title(evaluation: Mapping[str, object]) -> str:
    """Returns the title of the table of scores, e.g. "mlp probe, mAP"."""
    return f"{evaluation.get('probe', 'linear')} probe, {evaluation.get('metric', 'score')}"


def score_rows(evaluation: Mapping[str, object]) -> list[tuple[str, str, str]]:
    """Returns what is shown of each set of features: its name, and its score when trained and when untrained."""
    scores = dict(evaluation["scores"])
    rows = []
    # Single formats come first, then their combination, then the baselines.
    names = list(dict.fromkeys(name.removeprefix(UNTRAINED_PREFIX) for name in scores))
    for name in sorted(names, key=lambda name: (name in BASELINES, name in COMBINATIONS)):
        score = _shown_score(scores.get(name))
        if name in BASELINES:
            rows.append((BASELINES[name], "", score))
        else:
            rows.append((COMBINATIONS.get(name, name), score, _shown_score(scores.get(UNTRAINED_PREFIX + name))))
    return rows


def _shown_score(value: object) -> str:
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


def _output_folder(executions: Mapping[str, Execution], stage: str, channel: str) -> str:
    """Returns the published folder of an output, or "" if the run has none."""
    if stage in executions and channel in executions[stage].outputs:
        return executions[stage].outputs[channel].uri
    return ""


def evaluation(folder: str) -> dict[str, object]:
    """Returns what the report shows of the Evaluator's `metrics.json`, or {} if there is none."""
    return _evaluation_in_bucket(folder) if google_storage.is_used_for(folder) else _read_evaluation(folder)


@functools.lru_cache(maxsize=1)
def _evaluation_in_bucket(folder: str) -> dict[str, object]:
    """Reads it once, because a run reports twice at its end, and what is published stays as it is."""
    return _read_evaluation(folder)


def _read_evaluation(folder: str) -> dict[str, object]:
    file = epath.Path(folder) / "metrics.json"
    if not folder:
        return {}
    try:
        metrics = json.loads(file.read_text())
        dict(metrics["scores"])
    except FileNotFoundError:
        return {}
    except (KeyError, TypeError, ValueError):  # The file is damaged, and the next run writes it again.
        logging.warning("%s is damaged, so no scores are shown", file)
        return {}
    return {key: metrics[key] for key in ("probe", "metric", "scores") if key in metrics}
