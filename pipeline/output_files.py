"""Files that a command writes where its user says, none of which may be a file that the command reads."""

import contextlib
import os
import pathlib
import stat
from collections.abc import Iterable, Iterator
from typing import TextIO

from components.errors import UserError
from pipeline import unfinished


def is_any_of(path: str | os.PathLike[str], others: Iterable[str | os.PathLike[str]]) -> bool:
    """Returns whether a file is one of others, under any of its names and through links. It need not exist."""
    try:
        status = os.stat(path)
    except (OSError, ValueError):
        return False
    for other in others:
        with contextlib.suppress(OSError, ValueError):
            if os.path.samestat(os.stat(other), status):
                return True
    return False


def refuse_inputs(output: str, inputs: Iterable[str | os.PathLike[str]], *, what: str = "to embed") -> None:
    """Checks that an output is no input.

    Args:
        output: What the user gives as --output.
        inputs: Files that the command reads.
        what: What it does with them.

    Raises:
        UserError: It is one of them.
    """
    if is_any_of(output, inputs):
        raise UserError(f"--output {output} is one of the files {what}: name another.")


def check(output: str) -> None:
    """Checks that a file can be written, before the work that leads to it.

    Raises:
        UserError: It is a folder, there is no folder for it, or it cannot be written there.
    """
    if not output:
        raise UserError("--output is empty: name a file.")
    check_place(output)
    if _is_stream(output):
        return
    with _as_user_errors(output):
        temporary = _temporary(output)
        temporary.touch()
        temporary.unlink()


def check_place(output: str) -> None:
    """Checks that a file can be where a path leads.

    Raises:
        UserError: There is a folder, or no folder for it.
    """
    if not os.path.isdir(os.path.dirname(os.path.abspath(output))) or os.path.isdir(output):
        raise UserError(f"--output {output} is not a file in a folder that exists: name another.")


@contextlib.contextmanager
def writing(output: str) -> Iterator[TextIO]:
    """Yields a text file for CSV, which becomes the output when the block ends. Readers see the old one or the whole.

    Args:
        output: A file, or the name of a pipe or a device, which is written at once.

    Raises:
        UserError: The file cannot be written.
    """
    with _as_user_errors(output):
        if _is_stream(output):
            with open(output, "w", newline="", encoding="utf-8") as file:
                yield file
            return
        temporary = _temporary(output)
        try:
            with temporary.open("w", newline="", encoding="utf-8") as file:
                yield file
            temporary.replace(os.path.realpath(output))
        finally:
            temporary.unlink(missing_ok=True)


def _temporary(output: str) -> pathlib.Path:
    return unfinished.place(pathlib.Path(os.path.realpath(output)))


def _is_stream(output: str) -> bool:
    """Returns whether an output is there and is no file, so that nothing can take its place."""
    with contextlib.suppress(OSError):
        return not stat.S_ISREG(os.stat(output).st_mode)
    return False


@contextlib.contextmanager
def _as_user_errors(output: str) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise UserError(f"--output {output} cannot be written ({error.strerror}): name another file.") from error
