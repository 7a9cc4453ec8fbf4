"""Renders the results as Markdown."""

import statistics
from collections.abc import Iterable

from components.text import plural
from tests.benchmarks.tables import paragraph, table

_FEATURES = {"waveform": "waveform", "log_mel": "log-mel", "both": "both"}
_COLUMNS = {"linear": "linear", "knn": "k-NN", "few_shot": "8-shot"}


def render(result: dict) -> str:
    """Renders a row for each embedding of each contender."""
    header = ["", "embedding", "dims", *_COLUMNS.values(), "steps", "passes"]
    rows = []
    for contender in result["contenders"].values():
        runs = contender["by_seed"].values()
        counts = [_mean(runs, field) for field in ("steps", "passes")]
        for name, scores in contender["means"].items():
            values = [_percent(*scores[column]) for column in _COLUMNS]
            rows.append([contender["title"], _FEATURES.get(name, ""), str(scores["dims"]), *values, *counts])
    count, machine = len(result["seeds"]), result["machine"]
    seeds = "one seed" if count == 1 else f"mean and standard deviation over {plural(count, 'seed')}"
    changes = [f"`{name}.{change}`" for name, one in result["contenders"].items() for change in one["changes"]]
    changed = f", with `--set` {', '.join(changes)}" if changes else ""
    note = (
        f"Accuracy on {result['corpus']}, {seeds}, after "
        f"{result['cpu_minutes']:g} minutes of processor time on all {result['clips']:,} clips without their labels, "
        f"in batches of {result['batch_size']} and crops of {result['crop_seconds']:g} s{changed}. *Linear*: the "
        "Evaluator's probe over the five folds. *k-NN*: the 10 nearest clips of the other folds. *8-shot*: a linear "
        "classifier on 8 clips a class. *Passes*: how often each clip was seen. *Wide*: twice the channels, so as many "
        f"dimensions as both of Diptych's encoders. Measured on {plural(machine['cores'], 'core')} ({machine['cpu']}), "
        f"TensorFlow {machine['tensorflow']}, {result['date']}."
    )
    return table(header, rows) + "\n" + paragraph(note)


def _percent(mean: float, deviation: float | None) -> str:
    spread = "" if deviation is None else f" ± {100 * deviation:.1f}"
    return f"{100 * mean:.1f}{spread} %"


def _mean(runs: Iterable[dict], field: str) -> str:
    values = [run[field] for run in runs if field in run]
    return f"{statistics.mean(values):,.0f}" if values else ""
