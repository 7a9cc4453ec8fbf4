"""`diptych run-component`: runs one stage on given folders, as a step of a compiled pipeline does."""

import argparse

from components.errors import UserError
from pipeline.commands import exit_status
from pipeline.commands import shared_arguments as shared

SUMMARY = "run one stage on given folders; containers of a compiled pipeline call it"

DESCRIPTION = """\
Runs one stage on folders that are given by name, local or gs://, without a pipeline and without metadata. It
is what each container of a compiled pipeline calls, and works anywhere. The same command continues what was
stopped, and repeats nothing that has finished. Every output of the stage needs a folder that is new or empty."""

EPILOG = """\
examples:
  diptych run-component SyntheticAudioGen --exec-properties '{"clips_train": 40}' --output audio work/audio
  diptych run-component AudioExampleGen --input audio work/audio --output examples work/examples
  diptych run-component StatisticsGen --input examples work/examples --output statistics work/statistics"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the arguments of the command."""
    parser.add_argument("stage", metavar="STAGE", help="name of the stage, e.g. Trainer")
    parser.add_argument(
        "--exec-properties",
        default="{}",
        metavar="JSON",
        help="the stage's section of the config, as in `diptych config --json`; fields left out keep their defaults",
    )
    for flag, text in (("--input", "what the stage reads"), ("--output", "where it writes")):
        parser.add_argument(
            flag,
            nargs=2,
            action="append",
            default=[],
            metavar=("CHANNEL", "DIR"),
            help=f"{text}: a channel and its folder (repeatable)",
        )
    parser.add_argument(
        "--root",
        default="",
        metavar="DIR",
        help="folder for checkpoints and TensorBoard's events (default: the one that holds the first output)",
    )
    shared.add_stall_alarm(parser)
    shared.add_hourly_cost(parser)
    parser.add_argument(
        "--component-version", type=int, metavar="N", help="refuse to run if the stage has another version here"
    )
    parser.add_argument(
        "--executor-input", default="", metavar="JSON", help="from KFP: where to write the metadata of the outputs"
    )


def execute(arguments: argparse.Namespace) -> int:
    """Runs the stage and returns the exit status.

    Raises:
        UserError: The arguments do not fit, or the stage raised it.
    """
    # Imported here so that `diptych --help` and the messages about wrong arguments stay fast.
    from etils import epath

    from components import file_errors
    from pipeline import paths
    from pipeline.console.progress import Display
    from pipeline.runner import interrupts, one_component, supervision
    from pipeline.vertex import executor_output

    component = one_component.create(
        arguments.stage, exec_properties=arguments.exec_properties, version=arguments.component_version
    )
    if arguments.executor_input:
        executor_output.check(arguments.executor_input)
    inputs, outputs = (
        {channel: epath.Path(paths.absolute(folder)) for channel, folder in _by_channel(flag, given).items()}
        for flag, given in (("--input", arguments.input), ("--output", arguments.output))
    )
    root = epath.Path(paths.absolute(arguments.root)) if arguments.root else None
    supervised = supervision.of_one(
        component.name, stall_minutes=arguments.stall_alarm, hourly_cost=arguments.hourly_cost
    )
    display = Display()
    try:
        with interrupts.as_exceptions(), file_errors.as_user_errors(place=f"The output of {component.name}"):
            finished = one_component.run(
                component, inputs=inputs, outputs=outputs, root=root, display=display, supervision=supervised
            )
            if arguments.executor_input:
                executor_output.write(arguments.executor_input, component, finished)
    except interrupts.Interrupted as interrupt:
        display.say(interrupt.message)
        return interrupt.exit_status
    return exit_status.OK


def _by_channel(flag: str, given: list[list[str]]) -> dict[str, str]:
    folders: dict[str, str] = {}
    for channel, folder in given:
        if channel in folders:
            raise UserError(f"{flag} {channel} is given twice: give it once.")
        if not folder:
            raise UserError(f"{flag} {channel} is empty: give its folder.")
        folders[channel] = folder
    return folders
