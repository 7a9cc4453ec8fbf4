"""The schema file that the user keeps."""

import json

import pytest

from components.errors import UserError
from components.example_validator import ExampleValidator, ExampleValidatorConfig
from tests.components.example_validator.stage import validate


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (None, "cannot be read"),
        ("{", "Invalid JSON"),
        ("[]", "is no schema"),
        ('{"sample_rate": "fast", "label_names": [], "splits": {}}', "sample_rate: Input should be a valid integer"),
        ('{"sample_rate": 1, "label_names": [], "splits": {}, "split": {}}', "split: Extra inputs are not permitted"),
    ],
)
def test_malformed_schema_is_refused_before_any_stage_runs(tmp_path, text, message):
    path = tmp_path / "mine.json"
    if text is not None:
        path.write_text(text)
    sentence = f"example_validator.schema_path: .*mine.json .*{message}.*; copy the schema.json"
    with pytest.raises(UserError, match=sentence):
        ExampleValidator(ExampleValidatorConfig(schema_path=str(path))).check()


def test_lengths_of_the_lists_in_a_schema_are_checked(tmp_path, schema_path, schema_config):
    document = json.loads(schema_path.read_text())
    schema_path.write_text(json.dumps(document | {"label_names": ["dog"]}))
    with pytest.raises(UserError, match="2 label_counts of train, but 1 label_names"):
        ExampleValidator(schema_config).check()
    document["splits"]["eval"]["level_histogram"]["edges"] = [0.0, 1.0]
    schema_path.write_text(json.dumps(document))
    with pytest.raises(UserError, match="2 counts need 3 edges, not 2"):
        ExampleValidator(schema_config).check()
    document["splits"]["eval"]["level_histogram"]["edges"] = [0.0, 1.0, 2.0]
    schema_path.write_text(json.dumps(document))
    assert validate(tmp_path / "later", config=schema_config)[0] == [("eval_level_drift", "warning")]


@pytest.mark.parametrize(
    ("field", "counts", "message"),
    [
        ("level_histogram", [0, 0], "splits.eval: all counts of level_histogram are 0, and no drift could be measured"),
        ("duration_histogram", [-1, 101], "splits.eval.duration_histogram.counts.0: Input should be greater than or"),
    ],
)
def test_counts_that_would_hide_any_drift_are_refused(schema_path, schema_config, field, counts, message):
    document = json.loads(schema_path.read_text())
    document["splits"]["eval"][field]["counts"] = counts
    schema_path.write_text(json.dumps(document))
    with pytest.raises(UserError, match=message):
        ExampleValidator(schema_config).check()


def test_digest_of_the_schema_depends_on_its_content(tmp_path):
    path = tmp_path / "schema.json"
    component = ExampleValidator(ExampleValidatorConfig(schema_path=str(path)))
    digests = set()
    for text in ("{}", "[]", "{}"):
        path.write_text(text)
        digests.add(component.external_digests()["schema"])
    assert len(digests) == 2
    assert ExampleValidator().external_digests() == {}
