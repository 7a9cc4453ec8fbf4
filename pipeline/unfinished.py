"""Where files and folders lie while they are written, so that nobody takes a part for the whole."""

import contextlib
import glob
import os
import pathlib
import shutil
import socket

from beam_jobs import storage


def place(output: pathlib.Path) -> pathlib.Path:
    """Returns where this process writes an output before it moves it to its place.

    What processes of this machine have left there that were killed is removed.

    Args:
        output: A file or folder in a folder that exists.
    """
    beginning = f"{output.name}.{socket.gethostname()}."  # Processes of another container have its host's name.
    for left in output.parent.glob(f"{glob.escape(beginning)}*{storage.UNFINISHED}"):
        process = left.name.removeprefix(beginning).removesuffix(storage.UNFINISHED)
        # In a container, every process may have the number of the one before.
        if process.isdigit() and (int(process) == os.getpid() or not _is_running(int(process))):
            _remove(left)
    return output.with_name(f"{beginning}{os.getpid()}{storage.UNFINISHED}")


def _remove(left: pathlib.Path) -> None:
    if left.is_dir():
        shutil.rmtree(left, ignore_errors=True)
    else:
        with contextlib.suppress(OSError):
            left.unlink()


def _is_running(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except PermissionError:  # It is another user's.
        return True
    return True
