import pathlib
import subprocess
import sys

import pytest

from pipeline import cli

REPOSITORY = pathlib.Path(__file__).parents[2]


@pytest.mark.parametrize("command", [[], *([name] for name in cli.COMMANDS)])
def test_help_fits_the_line_and_ends_with_an_example(capsys, command):
    with pytest.raises(SystemExit) as stop:
        cli.main([*command, "--help"])
    assert stop.value.code == 0
    text = capsys.readouterr().out
    assert text.splitlines()[-1].startswith("  diptych ")
    assert max(map(len, text.splitlines())) <= 120


@pytest.mark.parametrize(
    ("arguments", "status", "message"),
    [
        (["--help"], 0, ""),
        (["run", "--preset", "tinny"], 2, "--preset tinny: there is no such preset; did you mean tiny?"),
    ],
)
def test_help_and_errors_import_nothing_slow(arguments, status, message):
    command = [sys.executable, "-m", "tests.pipeline.imported_modules", *arguments]
    done = subprocess.run(command, cwd=REPOSITORY, capture_output=True, text=True)
    assert done.returncode == status
    assert message in done.stderr
    last_line = done.stdout.splitlines()[-1]
    assert last_line.startswith("imported: ")
    imported = set(last_line.split())
    assert "pipeline.cli" in imported
    assert not {"tensorflow", "keras", "apache_beam", "sklearn", "scipy", "matplotlib"} & imported


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["status", "--preset", "tiny", "--fromm=x"], "diptych status: unrecognized arguments: --fromm=x"),
        (["status", "--preset", "tiny", "word"], "diptych status: unrecognized arguments: word"),
        (["run"], "diptych run: the following arguments are required: --preset"),
        (["rnu"], "diptych: argument COMMAND: invalid choice: 'rnu'"),
    ],
)
def test_arguments_that_do_not_exist_are_refused_in_one_sentence(capsys, arguments, message):
    with pytest.raises(SystemExit) as stop:
        cli.main(arguments)
    assert stop.value.code == 2
    text = capsys.readouterr().err
    assert text.startswith(message)
    assert text.count("\n") == 1
    assert "--help` shows" in text
