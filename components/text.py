"""Wording that several stages share in their messages, and what they read of a user's text."""

import decimal


def plural(count: int, noun: str) -> str:
    """Returns a count with its noun, e.g. "1 clip" or "1,200 clips", for nouns whose plural ends in "s"."""
    return f"{count:,} {noun}" if count == 1 else f"{count:,} {noun}s"


def parse_share(text: str) -> float:
    """Returns a share that is given as such or in percent: "0.29" and "29%" are the float nearest to 29 / 100.

    Raises:
        ValueError: It is no number.
    """
    number = text.strip()
    try:
        share = decimal.Decimal(number.removesuffix("%"))
        # In floats, 2.9 / 100 is less than 29 / 1000.
        return float(share / 100 if number.endswith("%") else share)
    except decimal.DecimalException as error:
        raise ValueError(f"{text!r} is not a share") from error
