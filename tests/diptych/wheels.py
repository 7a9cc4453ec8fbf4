"""Wheels of projects that cannot be installed here, and are run from where they are unpacked."""

import subprocess
import sys
import zipfile

import pytest


def unpacked(requirement, folder):
    """Downloads a wheel without what it requires, and returns the folder it is unpacked to; skips without a network."""
    command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--ignore-requires-python"]
    done = subprocess.run(
        [*command, "--only-binary=:all:", "--dest", folder / "wheels", requirement], capture_output=True, text=True
    )
    if done.returncode:
        pytest.skip(f"{requirement} cannot be downloaded: {done.stderr.strip().splitlines()[-1]}")
    (wheel,) = (folder / "wheels").glob(f"{requirement.partition('=')[0].replace('-', '_')}-*.whl")
    target = folder / wheel.stem
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(target)
    return target
