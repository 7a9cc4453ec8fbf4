import pytest

from components import text


@pytest.mark.parametrize(("count", "expected"), [(0, "0 clips"), (1, "1 clip"), (2, "2 clips"), (1200, "1,200 clips")])
def test_plural(count, expected):
    assert text.plural(count, "clip") == expected
