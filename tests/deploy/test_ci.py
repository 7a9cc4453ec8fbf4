"""What continuous integration would run, without running it."""

import shutil
import subprocess

import pytest

from tests.benchmarks.docs import ROOT
from tests.deploy import files

SKIPPED = (
    "mariadb-server-core cannot be installed, so the tests of metadata in MySQL are skipped",
    "chromium cannot be installed, so the tests of the page in a browser are skipped",
)


@pytest.fixture
def run(tmp_path):
    """Returns a function that runs it as a user with a number, and returns the commands and what is said."""

    def run(*arguments, user=0, apt="true"):
        log = tmp_path / "log"
        files.program(tmp_path, "id", f"echo {user}")
        files.program(tmp_path, "make", f'echo "make $@" >>{log}')
        files.program(tmp_path, "apt-get", f'echo "apt-get $1" >>{log}; {apt}')
        for name in ("bash", "dirname", "timeout"):  # And not what else this machine happens to have.
            if not (tmp_path / name).exists():
                (tmp_path / name).symlink_to(shutil.which(name))
        environment = {"PATH": str(tmp_path)}
        command = [ROOT / ".ci/run", *arguments]
        done = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
        return log.read_text().splitlines(), done.stderr

    return run


TESTS = ["make install-vertex", "make test", "make test-serving", "make test-buckets"]
INSTALL = ["apt-get update", "apt-get install"]


def test_it_installs_the_database_and_the_browser_and_runs_the_tests_of_buckets(run):
    assert run() == ([*INSTALL, *INSTALL, *TESTS], "")
    assert run("pythons")[0][-1] == "make test-pythons"


def test_what_cannot_be_installed_is_said_and_fails_nothing(run):
    commands, message = run(apt="exit 100")
    assert commands == ["apt-get update", "apt-get update", *TESTS]
    assert all(sentence in message for sentence in SKIPPED)


def test_only_root_installs(run):
    assert run(user=1000) == (TESTS, "")


def test_what_is_there_is_not_installed(run, tmp_path):
    files.program(tmp_path, "mariadbd", "")
    assert run() == ([*INSTALL, *TESTS], "")
    files.program(tmp_path, "chromium", "")
    (tmp_path / "log").unlink()
    assert run() == (TESTS, "")
