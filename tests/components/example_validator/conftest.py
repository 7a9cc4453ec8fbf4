import pytest

from components.example_validator import ExampleValidatorConfig
from tests.components.example_validator.stage import validate


@pytest.fixture
def schema_path(tmp_path):
    """The file of the schema that is inferred from the unchanged statistics."""
    _, run = validate(tmp_path / "first")
    return run.outputs["anomalies"] / "schema.json"


@pytest.fixture
def schema_config(schema_path):
    """A config that compares the examples with that schema."""
    return ExampleValidatorConfig(schema_path=str(schema_path))
