"""Calls a function in a fresh process: each training begins like the first one, and its end takes no other along."""

import contextlib
import multiprocessing
import os
import signal
import threading
import time
import traceback
from collections.abc import Callable, Sequence
from multiprocessing.connection import Connection

from components.errors import UserError
from pipeline import tensorflow_settings, user_settings
from pipeline.runner import interrupts

_SAVE_S = 60.0
"""Time that a process has to save its state when the one that started it is gone."""


class ProcessError(Exception):
    """The process ended without a result. The message says how, e.g. "the process was ended by SIGKILL"."""


def call(function: Callable[..., object], *arguments: object) -> object:
    """Calls a function in a fresh process and returns what it returns.

    A signal that interrupts this process is passed on, and the other one is waited for. If this process is killed, the
    other one stops by itself. Call it inside `interrupts.as_exceptions()`.

    Args:
        function: A function at the top of a module.
        *arguments: Its arguments. They and the result must be picklable.

    Raises:
        UserError: The function raised it.
        ProcessError: The function raised something else, or the process was killed.
    """
    context = multiprocessing.get_context("spawn")
    receiver, sender = context.Pipe(duplex=False)
    process = context.Process(target=_run, args=(sender, function, arguments))
    process.start()
    try:
        sender.close()
        kind, result = _receive(receiver)
        process.join()
    except BaseException:
        process.terminate()
        process.join()
        raise
    if kind == "result":
        return result
    if kind == "refused":
        raise UserError(result)
    raise ProcessError(result or _ending(process.exitcode))


def _receive(receiver: Connection) -> tuple[str, object]:
    try:
        return receiver.recv()
    except EOFError:
        return "ended", None


def _ending(exitcode: int | None) -> str:
    if exitcode is not None and exitcode < 0:
        hint = ", as the system does when memory is short" if exitcode == -signal.SIGKILL else ""
        return f"the process was ended by {signal.Signals(-exitcode).name}{hint}"
    return f"the process ended with exit status {exitcode}"


def _run(sender: Connection, function: Callable[..., object], arguments: Sequence[object]) -> None:
    """What the fresh process runs."""
    # Ctrl-C goes to all processes of a group. This one gets its signals from the one that started it, and only once.
    os.setpgrp()
    threading.Thread(target=_stop_with_parent, daemon=True).start()
    tensorflow_settings.apply()
    user_settings.apply()
    answer: tuple[str, object]
    try:
        answer = ("result", function(*arguments))
    except UserError as error:
        answer = ("refused", str(error))
    except interrupts.Interrupted as interrupt:
        answer = ("failed", f"it was stopped by {interrupt.signal.name}")
    except Exception as error:
        traceback.print_exc()
        answer = ("failed", f"{type(error).__name__}: {error}")
    with contextlib.suppress(BrokenPipeError):  # The other process is gone.
        sender.send(answer)
        sender.close()


def _stop_with_parent() -> None:
    multiprocessing.parent_process().join()
    interrupts.stop("The command that started this training has ended: the same command continues from here.")
    time.sleep(_SAVE_S)
    os._exit(1)
