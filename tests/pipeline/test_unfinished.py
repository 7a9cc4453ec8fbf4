import os
import signal
import subprocess
import sys

import pytest

from pipeline import output_files, this_machine, unfinished


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
    child = subprocess.run([sys.executable, "-c", "import os; print(os.getpid())"], capture_output=True, check=True)
    ended, ours = int(child.stdout), unfinished.place(output).name
    assert str(os.getpid()) in ours

    def named(pid, *, name="head"):
        folder = tmp_path / ours.replace(str(os.getpid()), str(pid)).replace("head", name)
        (folder / "variables").mkdir(parents=True)
        return folder.name

    for pid in (ended, os.getpid(), 10**20):  # A container may give each process the id of the one before.
        named(pid)
    others = [named(os.getppid()), named(ended, name="head2"), named("mine"), named("\u00b2")]
    elsewhere = f"head.0badbeef-{ended}.writing"
    (tmp_path / elsewhere).mkdir()
    assert not unfinished.place(output).exists()
    assert _names(tmp_path) == sorted([*others, elsewhere])


def test_where_machines_cannot_be_told_apart_all_is_left(tmp_path, monkeypatch):
    monkeypatch.setattr(this_machine, "identity", lambda: "")
    left = unfinished.place(tmp_path / "head")
    left.mkdir()
    assert unfinished.place(tmp_path / "head") == left
    assert left.exists()
