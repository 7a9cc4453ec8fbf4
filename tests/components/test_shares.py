import fractions

import pytest

from components import shares


@pytest.mark.parametrize("parts", [100, 1000])
def test_a_share_in_percent_is_the_float_nearest_to_it(parts):
    for part in range(parts + 1):
        percent = 100 * part / parts  # Printed as it is typed, e.g. 2.9.
        nearest = float(fractions.Fraction(part, parts))
        assert shares.parse(f"{percent:g}%") == shares.parse(f" {percent:g}% ") == nearest
        assert shares.parse(str(nearest)) == nearest


@pytest.mark.parametrize("wrong", ["", "%", "many%", "5%%", "1/3", "snan%"])
def test_what_is_no_share_is_an_error(wrong):
    with pytest.raises(ValueError, match="is not a share"):
        shares.parse(wrong)
