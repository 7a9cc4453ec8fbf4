"""Small, full and read-only file systems for tests. Only root can mount them."""

import contextlib
import subprocess

import pytest


@contextlib.contextmanager
def small(folder, *, size):
    """Mounts an empty file system over a folder until the block ends.

    Args:
        folder: The folder, which is created.
        size: Its size as mount spells it, e.g. "1m".
    """
    folder.mkdir(parents=True, exist_ok=True)
    with _mounted("-t", "tmpfs", "-o", f"size={size}", "none", folder):
        yield folder


@contextlib.contextmanager
def read_only(folder):
    """Makes a folder and all below it read-only until the block ends."""
    with _mounted("--bind", folder, folder):
        subprocess.run(["mount", "-o", "remount,bind,ro", folder], check=True)
        yield


def fill(folder, *, leave=0):
    """Writes a file that fills the file system of a folder, and returns it.

    Args:
        folder: The folder.
        leave: Number of bytes to leave.
    """
    ballast = folder / "ballast"
    with ballast.open("wb", buffering=0) as file:
        with contextlib.suppress(OSError):
            while True:
                file.write(bytes(4096))
        if leave:
            file.truncate(max(0, file.tell() - leave))
    return ballast


@contextlib.contextmanager
def _mounted(*arguments):
    mounted = subprocess.run(["mount", *map(str, arguments)], capture_output=True, text=True)
    if mounted.returncode:
        pytest.skip(f"file systems cannot be mounted here: {mounted.stderr.strip()}")
    try:
        yield
    finally:
        subprocess.run(["umount", "--lazy", str(arguments[-1])], check=True)
