"""Runs a script that executes an exported model, and tells what the model did wrong from what the process suffered."""

import signal
import subprocess
from collections.abc import Mapping, Sequence

from components.errors import UserError

MODEL_FAILED, OUT_OF_MEMORY = 3, 4
"""Exit statuses of the scripts, which import none of our code and so have them, too."""


class ModelError(Exception):
    """The model fails in the fresh process. The message is the last line that the script printed."""


def run(
    command: Sequence[str],
    *,
    subject: str,
    timeout_s: float,
    ways_out: tuple[str, str],
    env: Mapping[str, str] | None = None,
) -> None:
    """Runs a script to its end.

    Args:
        command: The script with its arguments.
        subject: What it checks, for messages.
        timeout_s: Seconds after which it is ended.
        ways_out: What the user can do if it takes too long, and if it ends in another way.
        env: Its environment; that of this process by default.

    Raises:
        ModelError: The model fails.
        UserError: The process was killed, took too long, ran out of memory or could not do its work, which says nothing
            about the model.
    """
    when_slow, otherwise = ways_out
    try:
        process = subprocess.run(command, capture_output=True, text=True, timeout=timeout_s, check=False, env=env)
    except subprocess.TimeoutExpired as error:
        raise UserError(
            f"The process that checks {subject} gave no answer within {timeout_s} seconds: {when_slow}."
        ) from error
    if process.returncode == MODEL_FAILED:
        raise ModelError(process.stdout.strip().splitlines()[-1])
    if process.returncode == 0:
        return
    if process.returncode == OUT_OF_MEMORY:
        how = "ran out of memory"
    elif process.returncode < 0:
        how = f"was ended by {signal.Signals(-process.returncode).name}, most likely because memory was short"
    else:
        lines = process.stderr.strip().splitlines() or [f"exit status {process.returncode}"]
        how = f"could not do its work ({lines[-1]})"
    raise UserError(f"The process that checks {subject} {how}: {otherwise}.")
