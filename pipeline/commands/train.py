"""`diptych train`: runs the Trainer by itself, on one machine or on several."""

import argparse

from pipeline.commands import exit_status
from pipeline.commands import shared_arguments as shared

SUMMARY = "train on existing examples, on one machine or on many"

DESCRIPTION = f"""\
Runs the Trainer by itself, without metadata. To train on several machines, start the same command on each.
The same command continues a training that was stopped or killed from its last checkpoint.
`diptych run --import OUTPUT/model` then exports and scores the model.

presets:
{shared.preset_list()}

{shared.OVERRIDES}"""

EPILOG = """\
examples:
  diptych train --preset small --examples runs/tiny/artifacts/AudioExampleGen/examples/1 --output runs/trained
  diptych train --preset final --examples gs://b/examples --output gs://b/final trainer.strategy=tpu
  diptych train --preset base --examples /nfs/examples --output /nfs/base trainer.micro_batch=64"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the arguments of the command."""
    shared.add_preset(parser, help="the preset whose Trainer config to start from")
    parser.add_argument("--examples", required=True, metavar="DIR", help="the examples that AudioExampleGen published")
    parser.add_argument("--output", required=True, metavar="DIR", help="folder for the model, checkpoints and events")
    shared.add_stall_alarm(parser)
    shared.add_hourly_cost(parser)
    shared.add_overrides(parser)


def execute(arguments: argparse.Namespace) -> int:
    """Trains and returns the exit status.

    Raises:
        UserError: The config, the examples and the output do not fit together.
    """
    shared.check_preset(arguments)

    # Imported here so that `diptych --help` and the messages about wrong arguments stay fast.
    from components import file_errors
    from pipeline import paths
    from pipeline.configs import resolve
    from pipeline.console.progress import Display
    from pipeline.runner import interrupts, standalone, supervision

    config = resolve.resolve(arguments.preset or None, file=arguments.config or None, assignments=arguments.overrides)
    supervised = supervision.of_one("Trainer", stall_minutes=arguments.stall_alarm, hourly_cost=arguments.hourly_cost)
    display = Display()
    output = paths.absolute(arguments.output)
    try:
        with interrupts.as_exceptions(), file_errors.as_user_errors(place=output):
            standalone.train(
                config.trainer,
                examples=paths.absolute(arguments.examples),
                output=output,
                display=display,
                supervision=supervised,
            )
    except interrupts.Interrupted as interrupt:
        display.say(interrupt.message)
        return interrupt.exit_status
    return exit_status.OK
