"""Renders the results as Markdown."""

import statistics
from collections.abc import Iterable, Mapping

from pipeline.experiments import intervals
from pipeline.experiments.outputs import wording
from tests.benchmarks.tables import paragraph, table, where

_FEATURES = {"waveform": "waveform", "log_mel": "log-mel", "both": "both"}
_COLUMNS = {"linear": "linear", "knn": "k-NN", "few_shot": "8-shot"}


_OURS = "diptych"
_WHOLE = "both"


def render(result: dict) -> str:
    """Renders a row for each embedding of each contender, and how far Diptych is ahead of each."""
    header = ["", "embedding", "dims", *_COLUMNS.values(), "seeds", "steps", "passes"]
    rows = []
    for contender in result["contenders"].values():
        runs = contender["by_seed"].values()
        counts = [_mean(runs, field) for field in ("steps", "passes")]
        for name, scores in contender["means"].items():
            values = [_percent(*scores[column]) for column in _COLUMNS]
            counted = [str(len(runs)), *counts]
            rows.append([contender["title"], _FEATURES.get(name, ""), str(scores["dims"]), *values, *counted])
    count = max(len(one["by_seed"]) for one in result["contenders"].values())
    seeds = "one seed" if count == 1 else "mean and standard deviation over the seeds"
    changes = [f"`{name}.{change}`" for name, one in result["contenders"].items() for change in one["changes"]]
    changed = f", with `--set` {', '.join(changes)}" if changes else ""
    unevenness = _unevenness(result["contenders"])
    note = (
        f"Accuracy on {result['corpus']}, {seeds}, after "
        f"{result['cpu_minutes']:g} minutes of processor time on all {result['clips']:,} clips without their labels, "
        f"in batches of {result['batch_size']} and crops of {result['crop_seconds']:g} s{changed}. *Linear*: the "
        "Evaluator's probe over the five folds. *k-NN*: the 10 nearest clips of the other folds. *8-shot*: linear "
        "classifiers on 8 clips a class, which depend on the order of the clips, and on features that are not "
        "standardized, so that untrained ones score low. *Passes*: how often each clip was seen. *Wide*: twice the "
        f"channels, so as many dimensions as both of Diptych's encoders. {unevenness}Measured on {where(result)}"
    )
    parts = [table(header, rows), paragraph(note)]
    ahead = differences(result["contenders"])
    if ahead:
        title = (
            "By so much both of Diptych's encoders are ahead (negative: behind), with the 95 % interval over the seeds "
            "that both have"
        )
        parts += [paragraph(f"{title}:"), table(["", *_COLUMNS.values()], ahead)]
    return "\n".join(parts)


def differences(contenders: Mapping[str, dict]) -> list[list[str]]:
    """Returns a row for each other contender that is trained: its title, and how far Diptych is ahead by each score.

    Without a second seed there is no row.
    """
    ours = contenders.get(_OURS, {"by_seed": {}})["by_seed"]
    rows = []
    for name, contender in contenders.items():
        theirs = contender["by_seed"]
        seeds = [seed for seed in theirs if seed in ours]
        if name == _OURS or len(seeds) < 2 or "steps" not in theirs[seeds[0]]:
            continue
        whole = list(contender["means"])[-1]  # The embedding of all its encoders.
        row = [contender["title"]]
        for column in _COLUMNS:
            of_seeds = [ours[seed]["scores"][_WHOLE][column] - theirs[seed]["scores"][whole][column] for seed in seeds]
            row.append(wording.difference(intervals.summarize(of_seeds), seeds=len(seeds), percent=True))
        rows.append(row)
    return rows


def _unevenness(contenders: Mapping[str, dict]) -> str:
    """Returns a sentence on how much the steps of a contender differ between its seeds; "" if they hardly do."""
    steps = [[run["steps"] for run in one["by_seed"].values() if "steps" in run] for one in contenders.values()]
    fewer = max((1 - min(counts) / max(counts) for counts in steps if counts), default=0.0)
    if fewer < 0.02:
        return ""
    return (
        "Other programs ran beside some trainings, so that the steps of one method differ between seeds, by up to "
        f"{100 * fewer:.0f} %. "
    )


def _percent(mean: float, deviation: float | None) -> str:
    spread = "" if deviation is None else f" ± {100 * deviation:.1f}"
    return f"{100 * mean:.1f}{spread} %"


def _mean(runs: Iterable[dict], field: str) -> str:
    values = [run[field] for run in runs if field in run]
    return f"{statistics.mean(values):,.0f}" if values else ""
