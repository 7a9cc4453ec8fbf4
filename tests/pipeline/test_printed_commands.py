"""What is printed can be pasted: every command works in any folder, with nothing of ours on the PATH."""

import ast
import os
import pathlib
import re
import shlex
import signal
import subprocess
import sys
import urllib.request

import pytest

from beam_jobs import command_lines
from pipeline import cli
from tests import printed_commands

REPOSITORY = pathlib.Path(__file__).parents[2]
SCRIPT = pathlib.Path(sys.executable).parent / "diptych"
needs_script = pytest.mark.skipif(not SCRIPT.exists(), reason="diptych is not installed beside this Python")

TWELVE_CLIPS = ("synthetic_audio_gen.clips_train=12", "synthetic_audio_gen.clips_eval=3")
TO_PASTE = re.compile(
    r"\b(pip install|make (install|test|quickstart)|tensorboard --|diptych [a-z-]+ [^`]*--[\w-]+[ =]([^`\s]|$))"
)


def diptych(words, *, folder, started_as):
    """Runs Diptych with nothing on the PATH, as a script by a relative path or as a module of the clone."""
    environment = dict(printed_commands.BARE)
    if started_as == "script":
        program = [os.path.relpath(SCRIPT, folder)]
        if os.environ.get("PYTHONPATH"):  # So that the script finds these sources, and not those of its installation.
            environment["PYTHONPATH"] = str(REPOSITORY)
    else:
        program, folder = [sys.executable, "-m", "pipeline"], REPOSITORY
    return subprocess.run([*program, *map(str, words)], cwd=folder, env=environment, capture_output=True, text=True)


@pytest.mark.parametrize("started_as", [pytest.param("script", marks=[needs_script, pytest.mark.slow]), "module"])
def test_the_command_of_a_usage_error_works_elsewhere(tmp_path, started_as):
    refused = diptych(["status", "--rot", "x"], folder=tmp_path, started_as=started_as)
    (command,) = printed_commands.find(refused.stderr)
    shown = printed_commands.run(command, folder="/")
    assert (shown.returncode, shown.stderr) == (0, "")
    assert shown.stdout.startswith("usage: diptych status ")


@pytest.mark.slow
@pytest.mark.parametrize("started_as", [pytest.param("script", marks=needs_script), "module"])
def test_the_commands_of_a_run_work_elsewhere(tmp_path, started_as):
    root = tmp_path / "a root's"
    words = ["run", "--preset", "quickstart", "--root", root, "--until", "SyntheticAudioGen", *TWELVE_CLIPS]
    done = diptych(words, folder=tmp_path, started_as=started_as)
    assert done.returncode == 0, done.stderr
    (command,) = printed_commands.find(done.stdout)
    assert f"--logdir {shlex.quote(str(root / 'tensorboard'))}" in command
    status, page = ask_tensorboard(command)
    assert status == 200
    assert b"<title>TensorBoard</title>" in page


def ask_tensorboard(command):
    """Starts the printed command in a bare shell, on any free port, and returns status and content of its page."""
    process = subprocess.Popen(
        ["/bin/sh", "-c", f"exec {command} --port 0"],
        cwd="/",
        env=printed_commands.BARE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    try:
        lines = iter(process.stderr.readline, "")
        url = next(found[0] for line in lines if (found := re.search(r"http://localhost:\d+/", line)))
        with urllib.request.urlopen(url, timeout=60) as answer:
            return answer.status, answer.read()
    finally:
        os.killpg(process.pid, signal.SIGKILL)  # Also the server that reads the event files.
        process.communicate()


@pytest.mark.slow
def test_the_commands_of_an_experiment_work_elsewhere(tmp_path):
    words = ["ablate", "recipe", "--preset", "quickstart", "--root", "a root's", "--only", "reference", "--print"]
    printed = diptych(words, folder=tmp_path, started_as="module")
    (command,) = printed_commands.find(printed.stdout)
    again = printed_commands.run(f"{command} --print", folder="/")
    assert again.returncode == 0, again.stderr
    (arguments,) = map(printed_commands.arguments, again.stdout.splitlines())
    own = REPOSITORY / "a root's" / "cells" / "reference"
    assert arguments[arguments.index("--root") + 1] == str(own / "cells" / "reference")
    assert not own.exists()


def test_make_is_told_the_folder_of_the_clone(tmp_path):
    shown = printed_commands.run(f"{command_lines.make('install-gcp')} --dry-run", folder=tmp_path)
    assert shown.returncode == 0, shown.stderr
    assert "requirements-gcp.lock" in shown.stdout


@pytest.mark.slow
def test_pip_is_that_of_this_python(tmp_path):
    shown = printed_commands.run(f"{command_lines.pip_install('numpy')} --dry-run --no-index", folder=tmp_path)
    assert "Requirement already satisfied: numpy" in shown.stdout


def test_a_folder_with_spaces_is_quoted(monkeypatch, tmp_path):
    folder = str(tmp_path / "it's here")
    assert shlex.split(command_lines.tensorboard(folder))[-2:] == ["--logdir", folder]
    assert printed_commands.arguments(command_lines.diptych("status", "--root", folder)) == ["status", "--root", folder]


def test_no_message_has_a_command_of_its_own():
    """Commands come from `command_lines`. Texts of --help show how commands look, and mentions name no option."""
    wrong = []
    for package in ("beam_jobs", "components", "diptych", "models", "pipeline"):
        for file in (REPOSITORY / package).rglob("*.py"):
            wrong += [f"{file.relative_to(REPOSITORY)}: {text}" for text in _messages(ast.parse(file.read_text()))]
    assert wrong == [
        'pipeline/command.py: run `make install` in a clone of Diptych, or `pip install ".[pipeline]"` there'
    ]


def _messages(tree):
    """Returns the texts of a module in which a user could take something for a command, except those of --help."""
    left_out = set()
    for node in ast.walk(tree):
        is_help = isinstance(node, ast.keyword) and node.arg == "help"
        is_text = isinstance(node, ast.Assign) and getattr(node.targets[0], "id", "") in (
            "DESCRIPTION",
            "EPILOG",
            "_DESCRIPTION",
            "_EPILOG",
        )
        if is_help or is_text or (isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)):
            left_out |= {id(each) for each in ast.walk(node)}
    texts = [node.value for node in ast.walk(tree) if isinstance(node, ast.Constant) and id(node) not in left_out]
    return [text for text in texts if isinstance(text, str) and TO_PASTE.search(text)]


def test_usage_errors_stay_one_sentence(capsys):
    with pytest.raises(SystemExit):
        cli.main(["status", "--rot=x"])
    assert capsys.readouterr().err.count("\n") == 1
