import copy
import json

import pytest

from components.example_validator import ExampleValidator, ExampleValidatorConfig
from tests.components import ingesting

SPLIT = {
    "clips": 100,
    "unlabelled_clips": 0,
    "silent_clips": 1,
    "silent_share": 0.01,
    "clipped_clips": 0,
    "clipped_share": 0.0,
    "min_seconds": 5.0,
    "label_counts": [60, 40],
}


def validate(folder, *, config=None, label_names=("dog", "rain"), **splits):
    """Changes to the figures of each split, or None to leave it out -> anomalies as (name, severity), and the run."""
    document = {"sample_rate": 16000, "label_names": list(label_names), "splits": {}}
    for name in ("train", "valid", "eval"):
        changes = splits.get(name, {})
        if changes is not None:
            document["splits"][name] = copy.deepcopy(SPLIT) | changes
    folder.mkdir(exist_ok=True)
    (folder / "statistics.json").write_text(json.dumps(document))
    run = ingesting.run(ExampleValidator(config), folder / "run", statistics=folder)
    anomalies = json.loads((run.outputs["anomalies"] / "anomalies.json").read_text())
    return [(anomaly["name"], anomaly["severity"]) for anomaly in anomalies], run


def test_sound_examples_pass(tmp_path):
    anomalies, run = validate(tmp_path)
    assert anomalies == []
    assert run.result.summary == "no anomalies"
    assert "anomalies" in run.tags()


@pytest.mark.parametrize(
    ("splits", "expected"),
    [
        ({"train": None}, ("no_train_clips", "fatal")),
        ({"train": {"clips": 1, "silent_clips": 0}}, ("few_train_clips", "fatal")),
        ({"valid": None}, ("no_valid_clips", "warning")),
        ({"train": {"silent_clips": 100, "silent_share": 1.0}}, ("train_silent", "fatal")),
        ({"eval": {"silent_clips": 100, "silent_share": 1.0}}, ("eval_silent", "warning")),
        ({"train": {"silent_clips": 30, "silent_share": 0.3}}, ("train_silent", "warning")),
        ({"valid": {"clipped_clips": 50, "clipped_share": 0.5}}, ("valid_clipped", "warning")),
        ({"train": {"min_seconds": 0.05}}, ("train_short", "warning")),
        ({"train": {"label_counts": [100, 0]}}, ("train_classes_absent", "warning")),
        ({"eval": {"unlabelled_clips": 3}}, ("eval_unlabelled", "warning")),
    ],
)
def test_each_anomaly(tmp_path, splits, expected):
    anomalies, run = validate(tmp_path, **splits)
    assert anomalies == [expected]
    assert run.result.figures == {"fatal": int(expected[1] == "fatal"), "warnings": int(expected[1] == "warning")}


def test_each_anomaly_is_one_line_on_the_terminal_under_its_own_level(tmp_path, caplog):
    validate(tmp_path, train={"clips": 1, "silent_clips": 0}, valid=None)
    levels = {record.levelname: record.getMessage() for record in caplog.records}
    assert levels["ERROR"].startswith("the train split has 1 clips")
    assert levels["WARNING"].startswith("the valid split is empty")


def test_a_class_may_be_absent_from_the_small_valid_split(tmp_path):
    assert validate(tmp_path, valid={"label_counts": [5, 0]})[0] == []


def test_unlabelled_audio_is_no_anomaly(tmp_path):
    nothing = {"label_counts": [], "unlabelled_clips": 100}
    assert validate(tmp_path, label_names=(), train=nothing, valid=nothing, eval=nothing)[0] == []


def test_thresholds_are_those_of_the_config_and_fatal_ones_come_first(tmp_path):
    config = ExampleValidatorConfig(min_clips=101, max_silent_share=0.0)
    anomalies, run = validate(tmp_path, config=config)
    assert anomalies[0] == ("few_train_clips", "fatal")
    assert [name for name, _ in anomalies[1:]] == ["train_silent", "valid_silent", "eval_silent"]
    assert run.result.summary == "1 fatal, 3 warnings"
