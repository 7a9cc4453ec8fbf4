"""Runs a pipeline for a command: with its lock, its log, its report, and what happens when it is stopped."""

import dataclasses
import re
import shlex
import sys
import time
import traceback
from collections.abc import Callable, Sequence

from absl import logging

from beam_jobs import storage
from components import file_errors
from components.base import StageConfig
from components.errors import UserError
from pipeline.commands import exit_status
from pipeline.console import logs, report
from pipeline.console.progress import Display
from pipeline.metadata.store import MetadataStore
from pipeline.root import Root
from pipeline.runner import interrupts
from pipeline.runner.graph import Pipeline
from pipeline.runner.local import LocalRunner
from pipeline.runner.supervision import Supervision


def run(
    pipeline: Pipeline,
    *,
    root: Root,
    open_store: Callable[[], MetadataStore],
    typed: Sequence[str],
    config: StageConfig,
    preset: str = "",
    force: Sequence[str] = (),
    from_stage: str | None = None,
    until_stage: str | None = None,
    only: Sequence[str] = (),
    supervision: Supervision | None = None,
    is_part: bool = False,
    finish: Callable[[report.Report, Display], None] | None = None,
) -> int:
    """Runs a pipeline, prints the report and returns the exit status.

    Args:
        pipeline: The pipeline.
        root: Where it writes.
        open_store: Opens the metadata, once the root is locked.
        typed: The command line, for the log.
        config: The config, for the log.
        preset: See `LocalRunner.run`, and so for the next four.
        force: Stages that run even if nothing changed.
        from_stage: This stage and all that depend on it run.
        until_stage: Only this stage and those it depends on run.
        only: Only these stages run.
        supervision: See `LocalRunner`.
        is_part: Whether another command runs it as one of many: how it ended is not shown.
        finish: Called with the report while the root is still locked. It shows the scores, which are left out before.

    Raises:
        UserError: A stage raised it, or the flags do not fit.
    """
    display = Display()
    log_file = root.log_file(time.strftime("%Y%m%d-%H%M%S"))
    try:
        with (
            interrupts.as_exceptions(),
            file_errors.as_user_errors(place=str(root.path)),
            root.lock(),
            logs.to_file(log_file, console=display.console),
        ):
            logging.info("diptych %s", without_passwords(typed))
            logging.info("config %s", config.model_dump_json())
            store = open_store()
            try:
                done = LocalRunner(root, store=store, display=display, supervision=supervision).run(
                    pipeline, preset=preset, force=force, from_stage=from_stage, until_stage=until_stage, only=only
                )
                result = report.build(store, done, root=root)
                storage.write_text(root.report, result.to_json())
                if finish is None:
                    if not is_part:
                        report.show(result, display.console)
                else:
                    report.show(dataclasses.replace(result, evaluation={}), display.console)
                    finish(result, display)
            except UserError as error:
                logging.info("stopped: %s", error, exc_info=error.__cause__)
                raise
            except interrupts.Interrupted as interrupt:
                logging.info("%s", interrupt.message)
                raise
            except Exception as error:
                logging.info("%s", traceback.format_exc())
                if file_errors.as_user_error(error, place=str(root.path)) is not None:
                    raise
                traceback.print_exc()
                print(f"diptych: this is a bug in Diptych; the log is {log_file}", file=sys.stderr)
                return exit_status.BUG
    except interrupts.Interrupted as interrupt:  # Also while the root is locked or released.
        if not is_part:
            display.say(interrupt.message)
        return interrupt.exit_status
    return exit_status.OK


def without_passwords(typed: Sequence[str]) -> str:
    """Returns a command line for the log file, without the passwords in its URLs."""
    return re.sub(r"(://[^:/@\s]*):\S*@", r"\1:...@", shlex.join(typed))
