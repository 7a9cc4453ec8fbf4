"""The part of an error's message that fits into a sentence."""


def first_line(error: BaseException) -> str:
    """Returns the first line of an error's message without the full stop, or the name of its type if it has none."""
    lines = str(error).strip().splitlines()
    return lines[0].rstrip(" .") if lines else type(error).__name__
