import pytest

from beam_jobs import error_text


@pytest.mark.parametrize(
    "text",
    [
        "UserError: the clip a.b is wrong: say so.",
        "UserError: the clip a.b is wrong: say so. [while running 'Embed-ptransform-9']",
        "Traceback (most recent call last):\n  File x.py, line 1\ncomponents.errors.UserError: the clip a.b is wrong: "
        "say so. [while running 'Embed']\n\nDuring handling",
    ],
)
def test_the_message_of_an_error_in_a_job_is_found_in_its_text(text):
    assert error_text.message_of(RuntimeError(text), "UserError") == "the clip a.b is wrong: say so."
    assert error_text.message_of(RuntimeError(text), "Error") is None
