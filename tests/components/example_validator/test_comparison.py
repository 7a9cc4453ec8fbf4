"""Differences between the examples and a schema or the last run."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.special import rel_entr

from components.example_validator import ExampleValidatorConfig, comparison
from tests.components.example_validator.stage import histogram, validate


def test_statistics_agree_with_the_schema_inferred_from_them(tmp_path, schema_config):
    assert validate(tmp_path / "again", config=schema_config)[0] == []


@pytest.mark.parametrize(
    ("changes", "expected", "message"),
    [
        ({"sample_rate": 8000}, ("sample_rate_mismatch", "fatal"), "at 8,000 Hz, not at the 16,000 Hz of the schema"),
        ({"label_names": ("dog", "cat")}, ("classes_mismatch", "fatal"), "1 missing (rain) and 1 unexpected (cat)"),
        ({"label_names": ("rain", "dog")}, ("classes_mismatch", "fatal"), "the same 2 in another order"),
        ({"train": {"clips": 111}}, ("train_size", "warning"), "111 clips, more than 10% off the 100"),
        ({"eval": None}, ("eval_size", "warning"), "the eval split has 0 clips"),
        (
            {"train": {"label_counts": [40, 60]}},
            ("train_class_drift", "warning"),
            "the share of dog in the train split is -0.200 off that of the schema",
        ),
        (
            {"eval": histogram("level", [10, 90])},
            ("eval_level_drift", "warning"),
            "are 0.296 bits off those of the schema",
        ),
        ({"valid": histogram("duration", [100, 0])}, ("valid_duration_drift", "warning"), "are 1.000 bits off"),
    ],
)
def test_each_difference_from_the_schema(tmp_path, schema_config, caplog, changes, expected, message):
    assert validate(tmp_path / "later", config=schema_config, **changes)[0] == [expected]
    assert message in caplog.text


@pytest.mark.parametrize(
    "changes",
    [
        {"train": {"clips": 110, "label_counts": [64, 36]}},
        {"eval": histogram("level", [60, 40])},
        {"eval": {"label_counts": [600, 400]}},
    ],
)
def test_small_differences_from_the_schema_are_no_anomalies(tmp_path, schema_config, changes):
    assert validate(tmp_path / "later", config=schema_config, **changes)[0] == []


def test_split_that_the_schema_does_not_name_is_unexpected(tmp_path):
    _, run = validate(tmp_path / "first", eval=None)
    config = ExampleValidatorConfig(schema_path=str(run.outputs["anomalies"] / "schema.json"), split_size="fatal")
    assert validate(tmp_path / "later", config=config)[0] == [("eval_size", "fatal")]


def test_small_splits_are_not_checked_for_drift(tmp_path):
    few = {"clips": 99, "label_counts": [99, 0], **histogram("level", [99, 0])}
    _, run = validate(tmp_path / "first", valid=few)
    config = ExampleValidatorConfig(schema_path=str(run.outputs["anomalies"] / "schema.json"))
    assert validate(tmp_path / "later", config=config)[0] == []


def test_histograms_with_other_bins_cannot_be_compared(tmp_path, schema_config, caplog):
    level = {"edges": [-20.0, -5.0, 0.0], "counts": [70, 30]}
    anomalies, _ = validate(tmp_path / "later", config=schema_config, eval={"level_histogram": level})
    assert anomalies == [("eval_level_drift", "warning")]
    assert "the levels of the eval split cannot be compared with the schema, which has other bins" in caplog.text


def test_without_a_schema_differences_from_the_last_run_are_warnings(tmp_path, caplog):
    validate(tmp_path / "first")
    changes = {"sample_rate": 8000, "label_names": ("dog", "cat"), "eval": None, "train": histogram("level", [10, 90])}
    anomalies, _ = validate(tmp_path / "later", last_statistics=tmp_path / "first", **changes)
    names = ["sample_rate_mismatch", "classes_mismatch", "train_level_drift", "eval_size"]
    assert anomalies == [(name, "warning") for name in names]
    assert "16,000 Hz of the last run; correct the source unless the change is intended" in caplog.text
    assert validate(tmp_path / "same", last_statistics=tmp_path / "first")[0] == []
    # Statistics that this version cannot read are ignored.
    (tmp_path / "first" / "statistics.json").write_text("of another version")
    assert validate(tmp_path / "other", last_statistics=tmp_path / "first", **changes)[0] == []


def test_with_a_schema_differences_from_the_last_run_are_still_warnings(tmp_path, schema_config, caplog):
    higher = {"train": {"label_counts": [63, 37]}}
    validate(tmp_path / "last", config=schema_config, **higher)
    assert validate(tmp_path / "same", config=schema_config, last_statistics=tmp_path / "last", **higher)[0] == []
    config = schema_config.model_copy(update={"drift": "fatal"})
    caplog.clear()
    # 0.57 is within 0.05 of the schema's 0.60 but not of the last run's 0.63.
    lower = {"train": {"label_counts": [57, 43]}}
    anomalies, _ = validate(tmp_path / "lower", config=config, last_statistics=tmp_path / "last", **lower)
    assert anomalies == [("train_class_drift", "warning")]
    assert "off that of the last run" in caplog.text


def test_difference_from_both_schema_and_last_run_is_reported_once(tmp_path, schema_config, caplog):
    validate(tmp_path / "last", config=schema_config)
    caplog.clear()
    changes = {"sample_rate": 8000, "train": {"clips": 120, "label_counts": [40, 60]}}
    anomalies, _ = validate(tmp_path / "later", config=schema_config, last_statistics=tmp_path / "last", **changes)
    assert anomalies == [
        ("sample_rate_mismatch", "fatal"),
        ("train_size", "warning"),
        ("train_class_drift", "warning"),
    ]
    assert "the last run" not in caplog.text


counts = st.lists(st.integers(0, 10**6), min_size=4, max_size=4).filter(any)


@given(a=counts, b=counts)
def test_jensen_shannon_divergence_agrees_with_its_definition(a, b):
    p, q = np.array(a) / sum(a), np.array(b) / sum(b)
    mean = (p + q) / 2
    expected = (rel_entr(p, mean).sum() + rel_entr(q, mean).sum()) / 2 / np.log(2)
    assert comparison.jensen_shannon(a, b) == pytest.approx(expected, abs=1e-9)
