"""What `make` would run, without running it."""

import subprocess

from tests.benchmarks.docs import ROOT
from tests.deploy import files


def test_every_python_on_the_path_gets_an_environment(tmp_path):
    files.program(tmp_path, "python3.10", "")
    files.program(tmp_path, "python3.11", "")
    files.program(tmp_path, "python3.12", "exit 1")  # as pyenv's, where that version is not chosen
    command = ["make", "--no-print-directory", "test-pythons", "MAKE=echo"]
    environment = {"PATH": f"{tmp_path}:/usr/bin:/bin"}
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=True)
    runs = [line for line in done.stdout.splitlines() if "install-vertex test" in line]
    assert runs == [
        f"--no-print-directory install-vertex test PYTHON={tmp_path}/python3.10 VENV=.venv-3.10",
        f"--no-print-directory install-vertex test PYTHON={tmp_path}/python3.11 VENV=.venv",
    ]
    assert "there is no python3.12 on the path" in done.stdout


def test_pythons_of_pyenv_that_are_not_chosen_are_found(tmp_path):
    for version in ("3.10.13", "3.12.1"):
        (tmp_path / f"pyenv/versions/{version}/bin").mkdir(parents=True)
        files.program(tmp_path / f"pyenv/versions/{version}/bin", f"python{version[:4]}", "")
        files.program(tmp_path, f"python{version[:4]}", "exit 127")  # pyenv's stand-in.
    command = ["make", "--no-print-directory", "test-pythons", "MAKE=echo"]
    environment = {"PATH": f"{tmp_path}:/usr/bin:/bin", "PYENV_ROOT": str(tmp_path / "pyenv")}
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=True)
    for version in ("3.10.13", "3.12.1"):
        assert f"PYTHON={tmp_path}/pyenv/versions/{version}/bin/python{version[:4]} " in done.stdout


def test_a_failure_with_one_python_ends_the_command(tmp_path):
    files.program(tmp_path, "python3.10", "")
    command = ["make", "--no-print-directory", "test-pythons", "MAKE=false"]
    environment = {"PATH": f"{tmp_path}:/usr/bin:/bin"}
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True)
    assert done.returncode
    assert "Python 3.12" not in done.stdout
