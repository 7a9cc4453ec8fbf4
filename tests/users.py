"""Runs commands as a user that /etc/passwd does not know, as containers with `--user 12345` do."""

import contextlib
import os
import pathlib
import shutil
import subprocess
import sys
import sysconfig

import pytest

REPOSITORY = pathlib.Path(__file__).parents[1]
UNKNOWN = 12345


def _can_become_unknown():
    programs = all(shutil.which(program) for program in ("setpriv", "unshare"))
    return programs and os.getuid() == 0 and subprocess.run(["unshare", "--mount", "true"]).returncode == 0


needs_root = pytest.mark.skipif(not _can_become_unknown(), reason="only root can run commands as another user")

# This Python, its packages and this repository may be in folders that only root can read, such as /root. So the user
# gets second names for them, on a mount that no other process sees. A capability to read all files would not do:
# TensorFlow asks access(2), which knows no capabilities of users other than root.
_MOUNTS = """
set -e
mount -t tmpfs -o mode=755 tmpfs /mnt
for folder in python packages repository; do
    mkdir /mnt/$folder
    mount --bind "$1" /mnt/$folder
    shift
done
cd /
exec "$@"
"""


def run_as_unknown(*arguments, home=None):
    """Runs `diptych` with the given arguments as a user without a name.

    Args:
        arguments: The arguments.
        home: Value of HOME; None leaves it unset.
    """
    mounted = [sys.base_prefix, sysconfig.get_path("purelib"), str(REPOSITORY)]
    user = ["setpriv", f"--reuid={UNKNOWN}", f"--regid={UNKNOWN}", "--clear-groups"]
    python = f"/mnt/python/bin/python{sys.version_info.major}.{sys.version_info.minor}"
    command = ["unshare", "--mount", "sh", "-c", _MOUNTS, "sh", *mounted, *user, python, "-m", "pipeline.cli"]
    environment = {
        "PATH": os.environ["PATH"],
        "LD_LIBRARY_PATH": "/mnt/python/lib",  # Else a shared Python library of the system may be found first.
        "PYTHONPATH": "/mnt/repository:/mnt/packages",
        "PYTHONDONTWRITEBYTECODE": "1",
    }
    if home is not None:
        environment["HOME"] = str(home)
    return subprocess.run([*command, *map(str, arguments)], capture_output=True, text=True, env=environment)


def folder_of_unknown(folder):
    """Creates a folder that the user without a name owns. Let it be below `open_path`."""
    folder.mkdir()
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
