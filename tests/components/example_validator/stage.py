"""What the tests of ExampleValidator share."""

import copy
import json

from components.example_validator import ExampleValidator
from tests.components import harness

SPLIT = {
    "clips": 100,
    "unlabelled_clips": 0,
    "silent_clips": 1,
    "silent_share": 0.01,
    "clipped_clips": 0,
    "clipped_share": 0.0,
    "min_seconds": 5.0,
    "label_counts": [60, 40],
    "level_histogram": {"edges": [-20.0, -10.0, 0.0], "counts": [70, 30]},
    "duration_histogram": {"edges": [0.0, 5.0, 10.0], "counts": [0, 100]},
}
"""Statistics of a split without anomalies."""


def validate(
    folder,
    *,
    config=None,
    label_names=("dog", "rain"),
    sample_rate=16000,
    near_duplicates=(),
    last_statistics=None,
    **splits,
):
    """Executes ExampleValidator on the splits train, valid and eval.

    Args:
        folder: Gets the statistics and the outputs.
        config: Of the stage; None for the default.
        label_names: Class names.
        sample_rate: In Hz.
        near_duplicates: Entries of the statistics.
        last_statistics: Folder of the statistics to compare with.
        splits: Name of a split -> changes to `SPLIT`, or None for a split without clips.

    Returns:
        (name, severity) of each anomaly, and the execution.
    """
    statistics = {
        "sample_rate": sample_rate,
        "label_names": list(label_names),
        "splits": {},
        "near_duplicates": near_duplicates,
    }
    for name in ("train", "valid", "eval"):
        changes = splits.get(name, {})
        if changes is not None:
            statistics["splits"][name] = copy.deepcopy(SPLIT) | changes
    folder.mkdir(exist_ok=True)
    (folder / "statistics.json").write_text(json.dumps(statistics))
    inputs = {"statistics": folder} | ({} if last_statistics is None else {"last_statistics": last_statistics})
    run = harness.execute(ExampleValidator(config), folder / "run", **inputs)
    anomalies = json.loads((run.outputs["anomalies"] / "anomalies.json").read_text())
    return [(anomaly["name"], anomaly["severity"]) for anomaly in anomalies], run


def histogram(name, counts):
    """Returns a change to `SPLIT`: other counts of the histogram "level" or "duration"."""
    return {f"{name}_histogram": SPLIT[f"{name}_histogram"] | {"counts": counts}}


def leak(**changes):
    """Returns near duplicates: two clips of eval sound like one of train."""
    none = {"splits": ["train", "valid"], "pairs": 0, "clips": [0, 0], "listed": []}
    some = {"splits": ["train", "eval"], "pairs": 3, "clips": [1, 2], "listed": [["a", "x", 5], ["a", "y", 24]]}
    return [none, some | changes]
