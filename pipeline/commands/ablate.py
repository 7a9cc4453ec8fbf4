"""`diptych ablate`: repeats an experiment of the paper at any scale."""

import argparse
from typing import TYPE_CHECKING

from components.errors import UserError
from pipeline.commands import exit_status
from pipeline.commands import shared_arguments as shared
from pipeline.experiments import catalog

if TYPE_CHECKING:
    from pipeline.experiments.study import Study

_WIDTH = max(map(len, catalog.EXPERIMENTS))
_LIST = "\n".join(f"  {name:{_WIDTH}}  {experiment.title}" for name, experiment in catalog.EXPERIMENTS.items())

SUMMARY = "repeat an experiment of the paper, at any scale"

DESCRIPTION = f"""\
Trains and scores each cell of a figure or table of the paper, several seeds each, and writes the table with the
paper's numbers beside yours, a plot, and runs to compare in TensorBoard to ROOT/experiments/EXPERIMENT. Each
training is a run of the pipeline under one root: what has finished is not repeated, and the same command
continues what was stopped.

experiments:
{_LIST}

presets:
{shared.preset_list()}

FIELD=VALUE changes one field of the config of all cells that do not set it themselves, e.g. trainer.batch_size=64;
`diptych config` lists all fields. Steps and seeds follow from --budget and --seeds.

exit status: 0 if all went well; 2 if a cell failed, or if an argument is wrong; 130, 143 or 129 if Ctrl-C,
SIGTERM or SIGHUP stopped it."""

EPILOG = """\
examples:
  diptych ablate table4 --preset tiny --data ~/ESC-50
  diptych ablate figure2 --preset tiny --data ~/ESC-50 --budget cpu-minutes=30 --seeds 5
  diptych ablate table1 --preset tiny --data ~/ESC-50 --only 'crop-*' --print
  diptych ablate recipe --preset quickstart --seeds 1 --budget steps=60"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the arguments of the command."""
    parser.add_argument("experiment", metavar="EXPERIMENT", help=", ".join(catalog.EXPERIMENTS))
    parser.add_argument("--preset", required=True, metavar="NAME", help="the scale: the config to start from")
    parser.add_argument("--data", metavar="PATH", help="your labeled audio, as for `diptych run`")
    parser.add_argument(
        "--root",
        metavar="DIR",
        default="runs/ablate",
        help="folder for everything that is written (default: %(default)s)",
    )
    parser.add_argument("--seeds", metavar="N", type=int, default=3, help="trainings of each cell (default: 3)")
    parser.add_argument(
        "--budget",
        metavar="KIND=N",
        help="what each training may take: cpu-minutes=N (processor time of its steps over all cores, by a measurement "
        "of a few steps of each cell), steps=N or passes=N over the clips; default: cpu-minutes=5 for quickstart, "
        "cpu-minutes=15 for tiny, else the steps of the preset",
    )
    parser.add_argument(
        "--only",
        metavar="CELL",
        nargs="+",
        action="extend",
        default=[],
        help="run only these cells; a pattern such as 'crop-*' names several. The table shows all that have finished",
    )
    parser.add_argument(
        "--print",
        dest="prints",
        action="store_true",
        help="print a command for each cell, in a root of its own below ROOT, so that other machines can run them; "
        "then the command without --print finds what they have finished",
    )
    shared.add_overrides(parser, example="trainer.batch_size=64")


def execute(arguments: argparse.Namespace) -> int:
    """Runs the experiment, or prints its commands, and returns the exit status.

    Raises:
        UserError: The arguments do not fit, or nothing can run.
    """
    experiment = catalog.find(arguments.experiment)
    # No cell has a = in its name, so what has one is an override that stands behind --only.
    overrides = [*arguments.overrides, *(word for word in arguments.only if "=" in word)]
    only = [word for word in arguments.only if "=" not in word]
    if arguments.only and not only:
        raise UserError("--only names no cell: give at least one, or leave it out.")

    # Imported here so that `diptych --help` and the messages about wrong arguments stay fast.
    from pipeline.experiments import commands, study

    request = study.Request(
        experiment=experiment,
        preset=arguments.preset,
        data=arguments.data,
        root=arguments.root,
        seeds=arguments.seeds,
        budget=arguments.budget,
        only=only,
        assignments=overrides,
    )
    planned = study.Study(request)
    if arguments.prints:
        for line in commands.of_cells(planned):
            print(line)
        return exit_status.OK
    return _run(planned)


def _run(planned: "Study") -> int:
    # Imported here for the reason above.
    from beam_jobs import command_lines
    from components import file_errors
    from pipeline.console.progress import Display
    from pipeline.experiments.outputs import terminal
    from pipeline.runner import interrupts

    display = Display()
    try:
        with interrupts.as_exceptions(), file_errors.as_user_errors(place=str(planned.root.path)):
            results = planned.run(display)
    except interrupts.Interrupted as interrupt:
        display.say(interrupt.message)
        return interrupt.exit_status
    terminal.show(results, display.console)
    display.say(f"{'Results:':12} {planned.folder}")
    display.say(f"{'TensorBoard:':12} {command_lines.tensorboard(str(planned.folder / 'tensorboard'))}")
    return exit_status.USER_ERROR if results.errors else exit_status.OK
