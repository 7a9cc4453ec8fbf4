"""Where files and folders lie while they are written, so that nobody takes a part for the whole."""

import contextlib
import glob
import os
import pathlib
import shutil

from beam_jobs import storage
from pipeline import this_machine


def place(output: pathlib.Path) -> pathlib.Path:
    """Returns where this process writes an output before it moves it to its place.

    What processes of this machine have left there that were killed is removed.

    Args:
        output: A file or folder in a folder that exists.
    """
    machine = this_machine.identity()
    beginning = f"{output.name}.{storage.text_digest(machine)[:8]}-"
    if machine:
        for left in output.parent.glob(f"{glob.escape(beginning)}*{storage.UNFINISHED}"):
            pid = left.name.removeprefix(beginning).removesuffix(storage.UNFINISHED)
            if pid.isascii() and pid.isdigit() and this_machine.has_ended(int(pid)):
                _remove(left)
    return output.with_name(f"{beginning}{os.getpid()}{storage.UNFINISHED}")


def _remove(left: pathlib.Path) -> None:
    if left.is_dir():
        shutil.rmtree(left, ignore_errors=True)
    else:
        with contextlib.suppress(OSError):
            left.unlink()
