"""`diptych run`: runs the pipeline."""

import argparse
import re
import shlex
import sys
import time
import traceback
from collections.abc import Sequence

from absl import logging

from components.errors import UserError
from pipeline.commands import exit_status
from pipeline.commands import shared_arguments as shared

SUMMARY = "run the pipeline, skipping what has not changed"

DESCRIPTION = f"""\
Runs the pipeline and ends with a table of stages and scores. A stage is skipped if its version, config and
inputs are unchanged since it last finished; --plan says what would run and why. The same command continues
a run that was stopped.

presets:
{shared.preset_list()}

{shared.OVERRIDES}"""

EPILOG = """\
examples:
  diptych run --preset quickstart
  diptych run --preset tiny --data ~/ESC-50 trainer.steps=500
  diptych run --preset tiny --data ~/ESC-50 trainer.steps=500 --plan
  diptych run --preset tiny --data ~/ESC-50 --from Exporter
  diptych run --preset tiny --data ~/ESC-50 --import runs/imported/cnn14"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the arguments of the command."""
    shared.add_config(parser)
    shared.add_root(parser)
    parser.add_argument(
        "--force", metavar="STAGE", action="append", default=[], help="run STAGE even if nothing changed (repeatable)"
    )
    parser.add_argument(
        "--from",
        dest="from_stage",
        metavar="STAGE",
        help="run STAGE and all stages that depend on it, on the last outputs of the other stages",
    )
    parser.add_argument(
        "--until", dest="until_stage", metavar="STAGE", help="run only STAGE and the stages it depends on"
    )
    parser.add_argument(
        "--plan", action="store_true", help="print what would run and why, then stop; nothing is run or written"
    )


def execute(arguments: argparse.Namespace) -> int:
    """Runs the pipeline, prints the report and returns the exit status.

    Raises:
        UserError: The arguments do not fit, or a stage raised it.
    """
    return _plan(arguments) if arguments.plan else _run(arguments)


def _plan(arguments: argparse.Namespace) -> int:
    # Imported here so that `diptych --help` and the messages about wrong arguments stay fast.
    from rich.console import Console

    from pipeline import dag
    from pipeline.commands import parsed_arguments as parsed
    from pipeline.console import plan as plan_table
    from pipeline.runner import plan

    pipeline = dag.create_pipeline(parsed.config(arguments))
    root = parsed.root(arguments)
    root.check_folder()
    planned = plan.make(
        pipeline,
        store=parsed.store(arguments, root=root, read_only=True),
        force=arguments.force,
        from_stage=arguments.from_stage,
        until_stage=arguments.until_stage,
    )
    plan_table.show(planned, Console(), preset=arguments.preset)
    if planned.refusal is not None:
        raise planned.refusal
    return exit_status.OK


def _run(arguments: argparse.Namespace) -> int:
    # Imported here so that `diptych --help` and the messages about wrong arguments stay fast.
    from beam_jobs import storage
    from components import file_errors
    from pipeline import dag
    from pipeline.commands import parsed_arguments as parsed
    from pipeline.console import logs, report
    from pipeline.console.progress import Display
    from pipeline.runner import interrupts
    from pipeline.runner.local import LocalRunner

    config = parsed.config(arguments)
    pipeline = dag.create_pipeline(config)
    root = parsed.root(arguments)
    if not arguments.metadata:
        root.metadata_uri()  # Refused before a remote root is leased.
    display = Display()
    log_file = root.log_file(time.strftime("%Y%m%d-%H%M%S"))
    try:
        with (
            interrupts.as_exceptions(),
            file_errors.as_user_errors(place=str(root.path)),
            root.lock(),
            logs.to_file(log_file, console=display.console),
        ):
            logging.info("diptych %s", without_passwords(arguments.typed))
            logging.info("config %s", config.model_dump_json())
            store = parsed.store(arguments, root=root)
            try:
                run = LocalRunner(root, store=store, display=display).run(
                    pipeline,
                    preset=arguments.preset,
                    force=arguments.force,
                    from_stage=arguments.from_stage,
                    until_stage=arguments.until_stage,
                )
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
            result = report.build(store, run, root=root)
            storage.write_text(root.report, result.to_json())
            report.show(result, display.console)
    except interrupts.Interrupted as interrupt:  # Also while the root is locked or released.
        display.say(interrupt.message)
        return interrupt.exit_status
    return exit_status.OK


def without_passwords(typed: Sequence[str]) -> str:
    """Returns a command line for the log file, without the passwords in its URLs."""
    return re.sub(r"(://[^:/@\s]*):\S*@", r"\1:...@", shlex.join(typed))
