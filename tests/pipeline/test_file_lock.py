import subprocess
import sys

import pytest

from pipeline import file_lock

HOLD = """
import pathlib, sys
from pipeline import file_lock
file = pathlib.Path(sys.argv[1])
with file_lock.held(file):
    print("held", flush=True)
    sys.stdin.readline()
    file.unlink()
    file.parent.rmdir()
"""


def test_a_second_process_is_kept_out_until_the_first_ends(tmp_path):
    file = tmp_path / "folder" / "lock"
    first = subprocess.Popen(
        [sys.executable, "-c", HOLD, file], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert first.stdout.readline() == "held\n"
    with pytest.raises(file_lock.HeldError, match=f"process {first.pid} on "), file_lock.held(file):
        pass
    first.communicate("\n")
    with file_lock.held(file):
        assert file.exists()


def test_a_lock_whose_file_was_removed_meanwhile_is_taken_again(tmp_path, monkeypatch):
    file = tmp_path / "lock"
    lock, attempts = file_lock.fcntl.lockf, []

    def lock_after_removal(*arguments):
        lock(*arguments)
        attempts.append(arguments)
        if len(attempts) == 1:
            file.unlink()  # As the process does that held the lock.

    monkeypatch.setattr(file_lock.fcntl, "lockf", lock_after_removal)
    with file_lock.held(file):
        assert file.exists()
    assert len(attempts) == 2
