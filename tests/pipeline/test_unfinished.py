import os
import signal
import socket
import subprocess
import sys

import pytest

from pipeline import output_files, unfinished


def _names(folder):
    return sorted(path.name for path in folder.iterdir())


@pytest.mark.parametrize("name", ["hits.csv", "hits [1]*.csv"])
def test_what_a_killed_process_has_left_of_a_file_is_removed(tmp_path, name):
    output = tmp_path / name
    program = (
        "import os, signal, sys\n"
        "from pipeline import output_files\n"
        "with output_files.writing(sys.argv[1]) as file:\n"
        "    os.kill(os.getpid(), signal.SIGKILL)"
    )
    killed = subprocess.run([sys.executable, "-c", program, str(output)], check=False)
    assert killed.returncode == -signal.SIGKILL
    assert len(_names(tmp_path)) == 1
    with output_files.writing(str(output)) as file:
        file.write("whole")
    assert _names(tmp_path) == [name]
    assert output.read_text() == "whole"


def test_folders_are_removed_and_what_others_write_stays(tmp_path):
    output = tmp_path / "head"
    host = socket.gethostname()
    ended = subprocess.run([sys.executable, "-c", "import os; print(os.getpid())"], capture_output=True, check=True)
    left = tmp_path / f"head.{host}.{int(ended.stdout)}.writing"
    (left / "variables").mkdir(parents=True)
    others = [
        f"head.{host}.{os.getppid()}.writing",  # A running process.
        f"head.elsewhere.{int(ended.stdout)}.writing",
        f"head2.{host}.{int(ended.stdout)}.writing",
        f"head.{host}.mine.writing",
    ]
    for other in others:
        (tmp_path / other).mkdir()
    place = unfinished.place(output)
    assert place.parent == tmp_path
    assert not place.exists()
    assert _names(tmp_path) == sorted(others)
