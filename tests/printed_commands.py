"""Finds the commands in what Diptych prints, and runs them as a user does who pastes them into another shell."""

import os
import re
import shlex
import subprocess

BARE = {name: value for name, value in os.environ.items() if name not in ("PATH", "PYTHONPATH", "VIRTUAL_ENV")}
BARE["PATH"] = "/usr/bin:/bin"
"""The environment of a shell that knows nothing of the virtual environment."""

_QUOTED = re.compile(r"`([^`]+)`")
_LABELED = re.compile(r"^(?:[\w ,]+: +)?((?:/|'/|env ).+)$", re.MULTILINE)


def find(text):
    """Returns the commands in a text: in backquotes, or the rest of a line. Their first word is a program's path."""
    return [command for command in (*_QUOTED.findall(text), *_LABELED.findall(text)) if _program(command)]


def arguments(command):
    """Returns the arguments of a command of Diptych."""
    words = shlex.split(command)
    start = next(i for i, word in enumerate(words) if os.path.basename(word) == "diptych" or word == "pipeline")
    return words[start + 1 :]


def run(command, *, folder):
    """Runs a command in a bare shell, in a folder, and returns what `subprocess.run` does."""
    return subprocess.run(["/bin/sh", "-c", command], cwd=folder, env=BARE, capture_output=True, text=True)


def _program(command):
    """Returns the program of a command, or "" if the text is none, such as a path or a mention of a command."""
    words = shlex.split(command)
    program = words[2] if words[0] == "env" and len(words) > 2 else words[0]
    is_program = program == "make" or (os.path.isfile(program) and os.access(program, os.X_OK))
    return program if is_program and len(words) > 1 else ""
