import fractions

import pytest

from components import text


@pytest.mark.parametrize(("count", "expected"), [(0, "0 clips"), (1, "1 clip"), (2, "2 clips"), (1200, "1,200 clips")])
def test_plural(count, expected):
    assert text.plural(count, "clip") == expected


@pytest.mark.parametrize("parts", [100, 1000])
def test_a_share_in_percent_is_the_float_nearest_to_it(parts):
    for part in range(parts + 1):
        percent = 100 * part / parts  # Printed as it is typed, e.g. 2.9.
        nearest = float(fractions.Fraction(part, parts))
        assert text.parse_share(f"{percent:g}%") == text.parse_share(f" {percent:g}% ") == nearest
        assert text.parse_share(str(nearest)) == nearest


@pytest.mark.parametrize("wrong", ["", "%", "many%", "5%%", "1/3", "snan%"])
def test_what_is_no_share_is_an_error(wrong):
    with pytest.raises(ValueError, match="is not a share"):
        text.parse_share(wrong)
