import copy
import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.special import rel_entr

from components.errors import UserError
from components.example_validator import ExampleValidator, ExampleValidatorConfig, comparison
from components.trainer.checks import check_anomalies
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
NONE_LEAKED = {"pairs": 0, "clips": [0, 0], "listed": []}


def validate(
    folder, *, config=None, label_names=("dog", "rain"), sample_rate=16000, leaked=(), previous=None, **splits
):
    """Changes to the figures of each split, or None to leave it out -> anomalies as (name, severity), and the run."""
    document = {"sample_rate": sample_rate, "label_names": list(label_names), "splits": {}, "near_duplicates": leaked}
    for name in ("train", "valid", "eval"):
        changes = splits.get(name, {})
        if changes is not None:
            document["splits"][name] = copy.deepcopy(SPLIT) | changes
    folder.mkdir(exist_ok=True)
    (folder / "statistics.json").write_text(json.dumps(document))
    run = harness.execute(ExampleValidator(config), folder / "run", previous=previous, statistics=folder)
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


def leak(**changes):
    entry = {"splits": ["train", "eval"], "pairs": 3, "clips": [1, 2], "listed": [["a", "x", 5], ["a", "y", 24]]}
    return [{"splits": ["train", "valid"], **NONE_LEAKED}, entry | changes]


def test_leakage_names_the_clips_and_is_as_severe_as_the_config_says(tmp_path, caplog):
    assert validate(tmp_path / "a", leaked=leak())[0] == [("train_eval_leakage", "warning")]
    (message,) = [record.getMessage() for record in caplog.records]
    assert message.startswith("2 of 100 clips of the eval split sound the same as one of the train split, e.g. x as a:")
    config = ExampleValidatorConfig(leakage="fatal")
    assert validate(tmp_path / "b", leaked=leak(), config=config)[0] == [("train_eval_leakage", "fatal")]
    config = ExampleValidatorConfig(max_leaked_share=0.02)
    assert validate(tmp_path / "c", leaked=leak(), config=config)[0] == []


@pytest.fixture
def schema(tmp_path):
    """The schema that fits the unchanged figures."""
    _, run = validate(tmp_path / "first")
    return ExampleValidatorConfig(schema_path=str(run.outputs["anomalies"] / "schema.json"))


def test_what_a_schema_was_inferred_from_fits_it(tmp_path, schema):
    assert validate(tmp_path / "again", config=schema)[0] == []


def histogram(name, counts):
    return {f"{name}_histogram": SPLIT[f"{name}_histogram"] | {"counts": counts}}


@pytest.mark.parametrize(
    ("changes", "expected", "says"),
    [
        ({"sample_rate": 8000}, ("sample_rate_mismatch", "fatal"), "at 8,000 Hz, not at the 16,000 Hz of the schema"),
        ({"label_names": ("dog", "cat")}, ("classes_mismatch", "fatal"), "1 missing (rain) and 1 unexpected (cat)"),
        ({"label_names": ("rain", "dog")}, ("classes_mismatch", "fatal"), "the same 2, in another order"),
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
            "are 0.296 bit off those of the schema",
        ),
        ({"valid": histogram("duration", [100, 0])}, ("valid_duration_drift", "warning"), "are 1.000 bit off"),
    ],
)
def test_each_departure_from_the_schema(tmp_path, schema, caplog, changes, expected, says):
    assert validate(tmp_path / "later", config=schema, **changes)[0] == [expected]
    assert says in caplog.text


@pytest.mark.parametrize(
    "changes",
    [
        {"train": {"clips": 110, "label_counts": [64, 36]}},
        {"eval": histogram("level", [60, 40])},
        {"eval": {"label_counts": [600, 400]}},
    ],
)
def test_small_departures_from_the_schema_pass(tmp_path, schema, changes):
    assert validate(tmp_path / "later", config=schema, **changes)[0] == []


def test_a_split_that_the_schema_does_not_know(tmp_path):
    _, run = validate(tmp_path / "first", eval=None)
    config = ExampleValidatorConfig(schema_path=str(run.outputs["anomalies"] / "schema.json"), split_size="fatal")
    assert validate(tmp_path / "later", config=config)[0] == [("eval_size", "fatal")]


def test_without_a_schema_the_last_run_is_compared_with_and_only_warned_of(tmp_path, caplog):
    _, run = validate(tmp_path / "first")
    later = {"sample_rate": 8000, "label_names": ("dog", "cat"), "eval": None, "train": histogram("level", [10, 90])}
    names = ["sample_rate_mismatch", "classes_mismatch", "train_level_drift", "eval_size"]
    anomalies, _ = validate(tmp_path / "later", previous=run.outputs, **later)
    assert anomalies == [(name, "warning") for name in names]
    assert "16,000 Hz of the last run; mend the source unless that was intended" in caplog.text
    assert validate(tmp_path / "same", previous=run.outputs)[0] == []
    (run.outputs["anomalies"] / "schema.json").write_text("of another version")
    assert validate(tmp_path / "other", previous=run.outputs, **later)[0] == []


def test_with_a_schema_the_last_run_is_compared_with_too(tmp_path, schema, caplog):
    moved = {"train": {"label_counts": [63, 37]}}
    _, last = validate(tmp_path / "last", config=schema, **moved)
    assert validate(tmp_path / "same", config=schema, previous=last.outputs, **moved)[0] == []
    config = schema.model_copy(update={"drift": "fatal"})
    caplog.clear()
    # Near enough to the schema (0.6), yet 0.06 off the last run (0.63): a warning, for all that drift is to be fatal.
    back = {"train": {"label_counts": [57, 43]}}
    expected = [("train_class_drift", "warning")]
    assert validate(tmp_path / "back", config=config, previous=last.outputs, **back)[0] == expected
    assert "off that of the last run" in caplog.text


def test_what_departs_from_schema_and_last_run_is_told_once_of_the_schema(tmp_path, schema, caplog):
    _, last = validate(tmp_path / "last", config=schema)
    caplog.clear()
    far = {"sample_rate": 8000, "train": {"clips": 120, "label_counts": [40, 60]}}
    anomalies, _ = validate(tmp_path / "far", config=schema, previous=last.outputs, **far)
    assert anomalies == [
        ("sample_rate_mismatch", "fatal"),
        ("train_size", "warning"),
        ("train_class_drift", "warning"),
    ]
    assert "the last run" not in caplog.text


def test_small_splits_are_not_tested_for_drift(tmp_path):
    few = {"clips": 99, "label_counts": [99, 0], **histogram("level", [99, 0])}
    _, run = validate(tmp_path / "first", valid=few)
    config = ExampleValidatorConfig(schema_path=str(run.outputs["anomalies"] / "schema.json"))
    assert validate(tmp_path / "later", config=config)[0] == []


def test_only_fatal_anomalies_block_training(tmp_path, schema):
    _, run = validate(tmp_path / "warned", config=schema, leaked=leak(), train={"label_counts": [40, 60]})
    check_anomalies(run.outputs["anomalies"])
    _, run = validate(tmp_path / "refused", config=schema, sample_rate=8000)
    with pytest.raises(UserError, match=r"8,000 Hz.*audio_example_gen\.sample_rate=16000"):
        check_anomalies(run.outputs["anomalies"])


@pytest.mark.parametrize(
    ("text", "says"),
    [
        (None, "cannot be read"),
        ("{", "Invalid JSON"),
        ("[]", "is no schema"),
        ('{"sample_rate": "fast", "label_names": [], "splits": {}}', "sample_rate: Input should be a valid integer"),
        ('{"sample_rate": 1, "label_names": [], "splits": {}, "split": {}}', "split: Extra inputs are not permitted"),
    ],
)
def test_a_bad_schema_is_refused_before_anything_runs(tmp_path, text, says):
    path = tmp_path / "mine.json"
    if text is not None:
        path.write_text(text)
    with pytest.raises(UserError, match=f"example_validator.schema_path: .*mine.json .*{says}.*; copy the schema.json"):
        ExampleValidator(ExampleValidatorConfig(schema_path=str(path))).check()


def test_a_schema_whose_counts_do_not_fit_its_classes_is_refused(tmp_path, schema):
    path = tmp_path / "first" / "run" / "outputs" / "anomalies" / "schema.json"
    document = json.loads(path.read_text())
    path.write_text(json.dumps(document | {"label_names": ["dog"]}))
    with pytest.raises(UserError, match="2 label_counts of train, but 1 label_names"):
        ExampleValidator(schema).check()
    document["splits"]["eval"]["level_histogram"]["edges"] = [0.0, 1.0]
    path.write_text(json.dumps(document))
    with pytest.raises(UserError, match="2 counts need as many edges and one more, not 2"):
        ExampleValidator(schema).check()
    document["splits"]["eval"]["level_histogram"]["edges"] = [0.0, 1.0, 2.0]
    path.write_text(json.dumps(document))
    assert validate(tmp_path / "later", config=schema)[0] == [("eval_level_drift", "warning")]


def test_a_changed_schema_reruns_the_stage(tmp_path):
    path = tmp_path / "schema.json"
    component = ExampleValidator(ExampleValidatorConfig(schema_path=str(path)))
    digests = set()
    for text in ("{}", "[]", "{}"):
        path.write_text(text)
        digests.add(component.external_digests()["schema"])
    assert len(digests) == 2
    assert ExampleValidator().external_digests() == {}


counts = st.lists(st.integers(0, 10**6), min_size=4, max_size=4).filter(any)


@given(a=counts, b=counts)
def test_jensen_shannon_against_its_definition(a, b):
    p, q = np.array(a) / sum(a), np.array(b) / sum(b)
    mean = (p + q) / 2
    expected = (rel_entr(p, mean).sum() + rel_entr(q, mean).sum()) / 2 / np.log(2)
    assert comparison.jensen_shannon(a, b) == pytest.approx(expected, abs=1e-9)
