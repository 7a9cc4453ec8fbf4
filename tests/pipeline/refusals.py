"""A helper for tests of commands that refuse their arguments."""

from pipeline import cli


def refusal(capsys, *arguments):
    """Runs `diptych` with arguments that it refuses and returns the message, which must be one sentence."""
    assert cli.main([str(argument) for argument in arguments]) == 2
    message = capsys.readouterr().err
    assert message.startswith("diptych: ")
    assert message.count("\n") == 1
    return message
