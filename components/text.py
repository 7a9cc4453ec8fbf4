"""Wording that several stages share in their messages."""


def plural(count: int, noun: str) -> str:
    """Returns a count with its noun, e.g. "1 clip" or "1,200 clips", for nouns whose plural ends in "s"."""
    return f"{count:,} {noun}" if count == 1 else f"{count:,} {noun}s"
