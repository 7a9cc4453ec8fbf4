"""`diptych run`: runs the pipeline."""

import argparse
from typing import TYPE_CHECKING

from components.errors import UserError
from pipeline.commands import exit_status
from pipeline.commands import shared_arguments as shared

if TYPE_CHECKING:
    from pipeline.runner.graph import Pipeline
    from pipeline.runner.supervision import Supervision

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
  diptych run --config mine.json --root runs/mine --only Embedder Evaluator
  diptych run --preset tiny --data ~/ESC-50 --root runs/cnn14 --import runs/imported/cnn14"""


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
        "--only",
        metavar="STAGE",
        nargs="+",
        action="extend",
        default=[],
        help="run these stages and no other, unless nothing changed, on the last outputs of the stages they read from",
    )
    parser.add_argument(
        "--retries",
        metavar="N",
        type=int,
        default=2,
        help="run a stage again, up to N times, after an error of a network or a service that may pass (default: 2)",
    )
    parser.add_argument(
        "--time-limit",
        "--time_limit",
        metavar="STAGE=MINUTES",
        action="append",
        default=[],
        help="stop as SIGTERM does when STAGE takes longer; the same command continues (repeatable)",
    )
    shared.add_stall_alarm(parser)
    parser.add_argument(
        "--hourly-cost",
        metavar="STAGE=COST",
        action="append",
        default=[],
        help="what an hour of STAGE costs, e.g. of a TPU or of Dataflow's workers, for the estimate (repeatable)",
    )
    parser.add_argument(
        "--plan", action="store_true", help="print what would run and why, then stop; nothing is run or written"
    )


def execute(arguments: argparse.Namespace) -> int:
    """Runs the pipeline, prints the report and returns the exit status.

    Raises:
        UserError: The arguments do not fit, or a stage raised it.
    """
    shared.check_preset(arguments)
    # No stage has = in its name, so what has one is an override that stands behind --only.
    arguments.overrides += [word for word in arguments.only if "=" in word]
    named = [word for word in arguments.only if word and "=" not in word]
    if arguments.only and not named:
        raise UserError("--only names no stage: give at least one, or leave it out.")
    arguments.only = named
    return _plan(arguments) if arguments.plan else _run(arguments)


def _supervision(arguments: argparse.Namespace, pipeline: "Pipeline") -> "Supervision":
    # Imported here for the reason below.
    from pipeline.runner import supervision

    return supervision.parse(
        pipeline,
        retries=arguments.retries,
        time_limits=arguments.time_limit,
        stall_minutes=arguments.stall_alarm,
        hourly_costs=arguments.hourly_cost,
    )


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
        only=arguments.only,
    )
    hourly_costs = _supervision(arguments, pipeline).hourly_costs  # All flags are refused as in a run.
    plan_table.show(planned, Console(), preset=parsed.run_name(arguments), hourly_costs=hourly_costs)
    if planned.refusal is not None:
        raise planned.refusal
    return exit_status.OK


def _run(arguments: argparse.Namespace) -> int:
    # Imported here so that `diptych --help` and the messages about wrong arguments stay fast.
    from pipeline import dag
    from pipeline.commands import parsed_arguments as parsed
    from pipeline.commands import running

    config = parsed.config(arguments)
    pipeline = dag.create_pipeline(config)
    root = parsed.root(arguments)
    if not arguments.metadata:
        root.metadata_uri()  # Refused before a remote root is leased.
    return running.run(
        pipeline,
        root=root,
        open_store=lambda: parsed.store(arguments, root=root),
        typed=arguments.typed,
        config=config,
        preset=parsed.run_name(arguments),
        force=arguments.force,
        from_stage=arguments.from_stage,
        until_stage=arguments.until_stage,
        only=arguments.only,
        supervision=_supervision(arguments, pipeline),
    )
