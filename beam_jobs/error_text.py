"""The part of an error's message that fits into a sentence."""

import re


def first_line(error: BaseException) -> str:
    """Returns the first line of an error's message without the full stop, or the name of its type if it has none."""
    lines = str(error).strip().splitlines()
    return lines[0].rstrip(" .") if lines else type(error).__name__


def message_of(error: Exception, name: str) -> str | None:
    """Returns the message of an error that made a Beam job fail, because Beam passes on no more than its text.

    Args:
        error: The error of the job.
        name: Name of the class of the error that was raised in the job. Its message has one line.

    Returns:
        The message, or None if another error was raised.
    """
    found = re.search(rf"\b{name}: (.+?)(?: \[while running|\n|$)", str(error))
    return found[1] if found else None
