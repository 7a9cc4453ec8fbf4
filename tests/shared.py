"""What tests share and none changes, made once for all processes of a test run, because that takes long."""

import fcntl
import os
import pickle
from collections.abc import Callable
from typing import TypeVar

import pytest

MadeT = TypeVar("MadeT")


def once(tmp_path_factory: pytest.TempPathFactory, name: str, make: Callable[..., MadeT]) -> MadeT:
    """Returns what `make(folder)` has returned to the first process of the run that asks; the others get a copy.

    Args:
        tmp_path_factory: Knows the temporary folder of the run.
        name: Name of the new folder. It is unique among all tests.
        make: Fills the folder. What it returns can be pickled, such as paths in the folder.
    """
    base = tmp_path_factory.getbasetemp()
    folder = (base.parent if "PYTEST_XDIST_WORKER" in os.environ else base) / "shared" / name
    folder.mkdir(parents=True, exist_ok=True)
    made = folder.with_name(f"{name}.pickle")
    with folder.with_name(f"{name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not made.exists():
            made.write_bytes(pickle.dumps(make(folder)))
        return pickle.loads(made.read_bytes())
