import pytest

from components.errors import UserError
from pipeline.configs import overrides
from tests.pipeline.configs.sections import Model, Whole


@pytest.mark.parametrize(
    ("assignment", "path", "value"),
    [
        ("trainer.steps=100", "trainer.steps", 100),
        ("trainer.model.width=0.25", "trainer.model.width", 0.25),
        ("trainer.model.width=1", "trainer.model.width", 1.0),
        ("trainer.name=a=b", "trainer.name", "a=b"),
        ("trainer.name=12", "trainer.name", "12"),
        ("trainer.name=null", "trainer.name", None),
        ("trainer.fast=true", "trainer.fast", True),
        ("trainer.fast=True", "trainer.fast", True),
        ('trainer.model.formats=["mfcc", "log_mel"]', "trainer.model.formats", ("mfcc", "log_mel")),
        ("trainer.model.formats=[mfcc, log_mel]", "trainer.model.formats", ("mfcc", "log_mel")),
        ("trainer.model.formats=[mfcc]", "trainer.model.formats", ("mfcc",)),
        ("trainer.model.formats=mfcc,log_mel", "trainer.model.formats", ("mfcc", "log_mel")),
        ("corpus.width=2", "corpus.width", 2.0),
    ],
)
def test_values_take_the_type_of_their_field(assignment, path, value):
    config = overrides.override(Whole(), [assignment])
    for key in path.split("."):
        config = getattr(config, key)
    assert config == value
    assert type(config) is type(value)


@pytest.mark.parametrize(
    ("assignment", "sentence"),
    [
        ("trainer.stepz=1", "trainer.stepz: there is no such field; did you mean trainer.steps?"),
        ("trianer.steps=1", "trianer.steps: there is no such field; did you mean trainer.steps?"),
        ("e.trainer=1", "e.trainer: there is no such field; the config has trainer, corpus."),
        ("trainer.model.widht=1", "trainer.model.widht: there is no such field; did you mean trainer.model.width?"),
        ("trainer.zzz=1", "trainer.zzz: there is no such field; trainer has steps, model, name, fast, order."),
        ("trainer.steps.x=1", "trainer.steps.x: steps is a single value, not a section."),
        ("trainer.steps=many", "trainer.steps: must be a whole number, not 'many'."),
        ("trainer.steps=1.5", "trainer.steps: must be a whole number, not 1.5."),
        ("trainer.steps=", "trainer.steps: must be a whole number, not ''."),
        pytest.param(
            "trainer.steps=" + 5000 * "1",
            f"trainer.steps: must be a number of fewer digits, not '{99 * '1'}... (5,002 characters).",
            id="digits",
        ),
        pytest.param(
            "trainer.steps=" + 100_000 * "[",
            f"trainer.steps: must be a whole number, not '{99 * '['}... (100,002 characters).",
            id="brackets",
        ),
        ("trainer.steps=0", "trainer.steps: must be at least 1, not 0."),
        ("trainer.model.width=0", "trainer.model.width: must be more than 0, not 0."),
        ("trainer.model.width=nan", "trainer.model.width: must be a number, not 'nan'."),
        ("trainer.fast=perhaps", "trainer.fast: must be true or false, not 'perhaps'."),
        ("trainer.order=upwards", "trainer.order: must be 'up' or 'down', not 'upwards'."),
        ("trainer.model=3", "trainer.model: set its fields one by one, as trainer.model.FIELD=VALUE."),
        ("trainer.model.levels=a,2", "trainer.model.levels.0: must be a number, not 'a'."),
        ("trainer.model.levels=", "trainer.model.levels: must hold at least 1."),
        ('trainer={"stepz": 1}', "trainer.stepz: there is no such field; did you mean trainer.steps?"),
        ('trainer={"model": {"widht": 1}}', "trainer.model.widht: there is no such field; did you mean"),
        ('trainer.steps={"a": 1}', "trainer.steps: steps is a single value, not a section."),
        ('trainer={"model.width": 2, "model": {"width": 3}}', "trainer.model.width is given twice: remove one."),
        (
            'trainer={"model": null, "model.width": 3}',
            "trainer.model is given twice, as a value and by its field trainer.model.width: remove one.",
        ),
        ("=3", "'=3' is not an override: write it as section.field=value."),
        ("trainer.steps", "'trainer.steps' is not an override: write it as section.field=value."),
    ],
)
def test_a_wrong_override_is_explained_in_one_sentence(assignment, sentence):
    with pytest.raises(UserError) as caught:
        overrides.override(Whole(), [assignment])
    assert str(caught.value).startswith(sentence)


def test_the_message_of_a_validator_is_shown_unchanged():
    with pytest.raises(UserError, match=r"^trainer: fast training takes at most 5000 steps: lower steps or set fast="):
        overrides.override(Whole(), ["trainer.fast=true", "trainer.steps=9000"])


@pytest.mark.parametrize("section", ['trainer.model={"width": 0.5}', 'trainer={"model": {"width": 0.5}}'])
def test_a_section_keeps_the_fields_that_are_not_given(section):
    before = overrides.override(Whole(), ["trainer.model.formats=mfcc", "trainer.model.levels=2,3", "trainer.steps=7"])
    after = overrides.override(before, [section])
    assert after == overrides.override(before, ["trainer.model.width=0.5"])
    assert after.trainer.model.formats == ("mfcc",)


def test_an_empty_section_is_there_and_otherwise_as_it_was():
    assert overrides.override(Whole(), ["corpus={}"]).corpus == Model()
    wide = overrides.override(Whole(), ["corpus.width=2"])
    assert overrides.override(wide, ["corpus={}"]) == wide
