"""Fields that name a file or a folder."""

import pytest

from components.errors import UserError
from pipeline.configs import resolve

FIELDS = (
    "audio_example_gen.source",
    "example_validator.schema_path",
    "trainer.initial_model",
    "importer.model",
    "embedder.untrained_model",
)


@pytest.mark.parametrize("field", FIELDS)
def test_an_empty_path_is_no_path_and_not_the_current_folder(field):
    with pytest.raises(UserError) as refused:
        resolve.resolve("tiny", assignments=[f"{field}="])
    assert str(refused.value) == f"{field}: the path is empty: give one, or leave the field out."


@pytest.mark.parametrize("field", FIELDS)
def test_a_path_or_null_is_taken(field):
    config = resolve.resolve("tiny", assignments=[f"{field}=a b/ü"])
    section, name = field.split(".")
    assert getattr(getattr(config, section), name) == "a b/ü"
    if field != "importer.model":
        config = resolve.resolve("tiny", assignments=[f"{field}=null"])
        assert getattr(getattr(config, section), name) is None
