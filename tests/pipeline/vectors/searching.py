"""Runs `diptych search` in this process."""

import csv

from pipeline import cli


def search(capsys, *arguments):
    """Returns what the command prints."""
    assert cli.main(["search", *map(str, arguments)]) == 0
    return capsys.readouterr().out


def refused(capsys, *arguments):
    """Returns the sentence of a command that is refused."""
    assert cli.main(["search", *map(str, arguments)]) == 2
    error = capsys.readouterr().err.strip()
    assert error.count("\n") == 0
    return error


def read(file):
    with open(file, newline="") as opened:
        return list(csv.DictReader(opened))
