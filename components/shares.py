"""Shares that users type, such as the largest part of the clips that may be quarantined."""

import decimal


def parse(typed: str) -> float:
    """Returns a share that is given as such or in percent: "0.29" and "29%" are the float nearest to 29 / 100.

    Raises:
        ValueError: It is no number.
    """
    number = typed.strip()
    try:
        share = decimal.Decimal(number.removesuffix("%"))
        # In floats, 2.9 / 100 is less than 29 / 1000.
        return float(share / 100 if number.endswith("%") else share)
    except decimal.DecimalException as error:
        raise ValueError(f"{typed!r} is not a share") from error
