"""Anomalies of the examples themselves."""

import pytest

from components.errors import UserError
from components.example_validator import ExampleValidatorConfig
from components.trainer.checks import check_anomalies
from tests.components.example_validator.stage import leak, validate


def test_good_examples_have_no_anomalies(tmp_path):
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


def test_each_anomaly_is_logged_at_the_level_of_its_severity(tmp_path, caplog):
    validate(tmp_path, train={"clips": 1, "silent_clips": 0}, valid=None)
    levels = {record.levelname: record.getMessage() for record in caplog.records}
    assert levels["ERROR"].startswith("the train split has 1 clip, fewer than 2")
    assert levels["WARNING"].startswith("the valid split is empty")


@pytest.mark.parametrize(
    ("field", "bound", "train"),
    [
        ("min_clips", 101, {}),
        ("max_silent_share", 0.0, {}),
        ("max_clipped_share", 0.1, {"clipped_clips": 50, "clipped_share": 0.5}),
        ("min_seconds", 9.0, {"min_seconds": 8.0}),
        ("max_leaked_share", 0.0, {}),
    ],
)
def test_a_message_names_the_field_of_its_bound(tmp_path, caplog, field, bound, train):
    config = ExampleValidatorConfig(**{field: bound})
    validate(tmp_path, config=config, train=train, near_duplicates=leak() if field == "max_leaked_share" else [])
    assert f"example_validator.{field}" in caplog.records[0].getMessage()


def test_a_bound_that_cannot_be_lowered_is_no_way_out(tmp_path, caplog):
    validate(tmp_path, train={"clips": 1, "silent_clips": 0})
    assert [record.getMessage() for record in caplog.records] == ["the train split has 1 clip, fewer than 2: give more"]


def test_valid_split_may_lack_a_class(tmp_path):
    assert validate(tmp_path, valid={"label_counts": [5, 0]})[0] == []


def test_unlabelled_audio_is_no_anomaly(tmp_path):
    unlabelled = {"label_counts": [], "unlabelled_clips": 100}
    assert validate(tmp_path, label_names=(), train=unlabelled, valid=unlabelled, eval=unlabelled)[0] == []


def test_bounds_come_from_the_config_and_fatal_anomalies_are_first(tmp_path):
    config = ExampleValidatorConfig(min_clips=101, max_silent_share=0.0)
    anomalies, run = validate(tmp_path, config=config)
    assert anomalies[0] == ("few_train_clips", "fatal")
    assert [name for name, _ in anomalies[1:]] == ["train_silent", "valid_silent", "eval_silent"]
    assert run.result.summary == "1 fatal, 3 warnings"


def test_leakage_names_clips_and_has_the_severity_of_the_config(tmp_path, caplog):
    assert validate(tmp_path / "a", near_duplicates=leak())[0] == [("train_eval_leakage", "warning")]
    (message,) = [record.getMessage() for record in caplog.records]
    assert message.startswith("2 of 100 clips of the eval split sound the same as one of the train split, e.g. x as a:")
    config = ExampleValidatorConfig(leakage="fatal")
    anomalies, _ = validate(tmp_path / "b", near_duplicates=leak(), config=config)
    assert anomalies == [("train_eval_leakage", "fatal")]
    config = ExampleValidatorConfig(max_leaked_share=0.02)
    assert validate(tmp_path / "c", near_duplicates=leak(), config=config)[0] == []


def test_trainer_refuses_fatal_anomalies_only(tmp_path, schema_config):
    drift = {"label_counts": [40, 60]}
    _, run = validate(tmp_path / "warned", config=schema_config, near_duplicates=leak(), train=drift)
    check_anomalies(run.outputs["anomalies"])
    _, run = validate(tmp_path / "refused", config=schema_config, sample_rate=8000)
    with pytest.raises(UserError, match=r"8,000 Hz.*audio_example_gen\.sample_rate=16000"):
        check_anomalies(run.outputs["anomalies"])
