"""Runs commands as a user that /etc/passwd does not know, as containers with `--user 12345` do."""

import contextlib
import os
import pathlib
import shutil
import subprocess
import sys

import pytest

REPOSITORY = pathlib.Path(__file__).parents[1]
UNKNOWN = 12345

needs_root = pytest.mark.skipif(
    os.getuid() != 0 or not shutil.which("setpriv"), reason="only root can run commands as another user"
)


def run_as_unknown(*arguments, home=None):
    """Runs `diptych` with the given arguments as a user without a name.

    The user may read all files, because this Python and its packages may be in root's folders, but not write them.

    Args:
        arguments: The arguments.
        home: Value of HOME; None leaves it unset.
    """
    user = ["setpriv", f"--reuid={UNKNOWN}", f"--regid={UNKNOWN}", "--clear-groups"]
    user += ["--inh-caps=+dac_read_search", "--ambient-caps=+dac_read_search"]
    environment = {"PATH": os.environ["PATH"], "PYTHONPATH": str(REPOSITORY), "PYTHONDONTWRITEBYTECODE": "1"}
    if home is not None:
        environment["HOME"] = str(home)
    command = [*user, sys.executable, "-m", "pipeline.cli", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, env=environment, cwd="/")


def folder_of_unknown(folder):
    """Creates a folder that the user without a name owns. The folders above it become readable for everyone."""
    folder.mkdir()
    for parent in folder.parents:
        if not parent.stat().st_mode & 0o005 and parent.stat().st_uid == os.getuid():
            parent.chmod(parent.stat().st_mode | 0o055)
    os.chown(folder, UNKNOWN, UNKNOWN)
    return folder


@contextlib.contextmanager
def permissions(path, mode):
    """Gives a file or folder other permissions within the `with` block, which root heeds, too."""
    is_root, before = os.geteuid() == 0, path.stat().st_mode
    for parent in path.parents:
        if is_root and parent.owner() == "root" and parent != pathlib.Path("/"):
            parent.chmod(parent.stat().st_mode | 0o055)
    path.chmod(mode)
    if is_root:
        os.seteuid(UNKNOWN)
    try:
        yield
    finally:
        if is_root:
            os.seteuid(0)
        path.chmod(before)
