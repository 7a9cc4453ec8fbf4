"""Compares two runs: their config, their code, their data and their scores."""

import dataclasses
from collections.abc import Mapping, Sequence

from rich import box
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from pipeline.console import report
from pipeline.metadata.executions import Artifact, CacheKey, Execution
from pipeline.runner import decide, graph

_DATA_TYPES = ("AudioClips", "Examples", "ExampleStatistics", "ExampleAnomalies")
_NO_SCORES = ("cpu_s", "blessed")
_NOTHING = "-"


@dataclasses.dataclass(frozen=True, kw_only=True)
class Change:
    """One thing that differs between two runs.

    Attributes:
        name: What it is.
        before: What it was in the first run.
        after: What it is in the second one.
    """

    name: str
    before: str
    after: str


@dataclasses.dataclass(frozen=True, kw_only=True)
class Comparison:
    """What differs between two runs; the scores are all there.

    Attributes:
        config: Fields of the config that decide outputs, by the names that the command line takes.
        code: Versions of components and libraries, and modules whose code has changed.
        data: What stages read from outside the pipeline, and the examples that they made of it.
        scores: All scores of either run.
        stages: Stages that only one of the runs went through.
    """

    config: Sequence[Change]
    code: Sequence[Change]
    data: Sequence[Change]
    scores: Sequence[Change]
    stages: Sequence[Change]


def compare(before: Mapping[str, Execution], after: Mapping[str, Execution]) -> Comparison:
    """Compares two runs, each given by its executions by stage."""
    both = [(before[stage], after[stage]) for stage in after if stage in before]
    return Comparison(
        config=[change for pair in both for change in _config(*pair)],
        code=_without_repetition([change for pair in both for change in _code(*pair)]),
        data=[change for pair in both for change in _data(*pair)],
        scores=_scores(before.get(report.EVALUATION[0]), after.get(report.EVALUATION[0])),
        stages=[
            Change(name=stage, before=_outcome(before.get(stage)), after=_outcome(after.get(stage)))
            for stage in dict.fromkeys((*before, *after))
            if (stage in before) != (stage in after)
        ],
    )


def summary(before: Mapping[str, Execution], after: Mapping[str, Execution]) -> list[str]:
    """Says what changed of config, versions and data, e.g. ["trainer.steps 130 -> 500"]."""
    found = compare(before, after)
    values = [f"{change.name} {change.before} -> {change.after}" for change in (*found.config, *found.code)]
    return [*values, *(f"{change.name} changed" for change in found.data)]


def show(found: Comparison, console: Console, *, names: tuple[str, str]) -> None:
    """Prints a comparison as tables, and a line for each part in which nothing differs."""
    parts = {"Config": found.config, "Code": found.code, "Data": found.data, "Stages": found.stages}
    for title, changes in parts.items():
        if changes:
            _show_table(title, changes, console, names=names)
        elif title != "Stages":
            console.print(f"{title}: the same", highlight=False)
    if found.scores:
        _show_table("Scores", found.scores, console, names=names)
    else:
        console.print("Scores: none in either run", highlight=False)


def _show_table(title: str, changes: Sequence[Change], console: Console, *, names: tuple[str, str]) -> None:
    table = Table(title=title, title_justify="left", box=box.ROUNDED)
    for name in ("", *names):
        table.add_column(escape(name), overflow="fold")
    for change in changes:
        table.add_row(escape(change.name), escape(change.before), escape(change.after))
    console.print(table)


def _config(before: Execution, after: Execution) -> list[Change]:
    return _changes(before.cache_key.config, after.cache_key.config, prefix=f"{graph.section(after.stage)}.")


def _code(before: Execution, after: Execution) -> list[Change]:
    old, new = before.cache_key, after.cache_key
    changes = _changes({"version": _version(old)}, {"version": _version(new)}, prefix=f"{after.stage} ")
    changes += _changes(old.libraries, new.libraries)
    names = sorted({*before.code, *after.code})
    modules = [name for name in names if before.code.get(name) != after.code.get(name)]
    if modules and before.code and after.code:
        count = f"{len(modules)} modules differ"
        changes.append(Change(name=f"{after.stage} code", before=count, after=decide.first(modules)))
    return changes


def _version(key: CacheKey) -> object:
    return key.version or "unknown"


def _data(before: Execution, after: Execution) -> list[Change]:
    # The key of what an execution has gone on from is no data.
    old, new = (
        {name: digest[:12] for name, digest in execution.cache_key.extending("").external.items()}
        for execution in (before, after)
    )
    changes = _changes(old, new, prefix=f"{after.stage} ")
    for channel, artifact in after.outputs.items():
        other = before.outputs.get(channel)
        if artifact.type in _DATA_TYPES and other is not None and other.digest != artifact.digest:
            changes.append(
                Change(
                    name=f"{after.stage} {channel}",
                    before=_content(other, before),
                    after=_content(artifact, after),
                )
            )
    return changes


def _content(artifact: Artifact, execution: Execution) -> str:
    return f"{artifact.uri.rpartition('/')[2]}: {execution.summary}"


def _scores(before: Execution | None, after: Execution | None) -> list[Change]:
    old, new = ({} if run is None else run.figures for run in (before, after))
    names = [name for name in dict.fromkeys((*sorted(old), *sorted(new))) if name not in _NO_SCORES]
    return [
        Change(name=name, before=_score(old.get(name)), after=_score(new.get(name), since=old.get(name)))
        for name in sorted(names, key=lambda name: (name.startswith(report.UNTRAINED_PREFIX), name))
    ]


def _score(value: object, *, since: object = None) -> str:
    """Returns a score, and how much it is above an earlier one."""
    if not isinstance(value, int | float):
        return _NOTHING if value is None else str(value)
    if not isinstance(since, int | float):
        return f"{value:.3f}"
    return f"{value:.3f} ({value - since:+.3f})"


def _outcome(execution: Execution | None) -> str:
    return "not run" if execution is None else report.OUTCOMES[execution.state]


def _changes(before: Mapping[str, object], after: Mapping[str, object], *, prefix: str = "") -> list[Change]:
    return [
        Change(name=f"{prefix}{name}", before=old, after=new) for name, old, new in decide.changed_values(before, after)
    ]


def _without_repetition(changes: Sequence[Change]) -> list[Change]:
    """Returns each change once: several stages name the same library."""
    return list(dict.fromkeys(changes))
