"""`diptych import-panns`: turns a checkpoint of PANNs into a model that the pipeline takes in place of training one."""

import argparse
import pathlib

from pipeline.commands import exit_status

SUMMARY = "import a supervised network of PANNs to compare with"

DESCRIPTION = """\
Reads a .pth file that PANNs (Kong et al. 2020) published for CNN6, CNN10, CNN14, ResNet22, ResNet38,
ResNet54, Res1dNet31 or Res1dNet51, and writes the network as a model for `diptych run --import`. The model
keeps the front end of the network but not its linear layers."""

EPILOG = """\
example:
  diptych import-panns Cnn14_mAP=0.431.pth --output runs/imported/cnn14
  diptych run --preset tiny --data ~/ESC-50 --root runs/cnn14 --import runs/imported/cnn14"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the arguments of the command."""
    parser.add_argument("checkpoint", metavar="FILE.pth", help="the checkpoint")
    parser.add_argument("--output", metavar="DIR", help="folder to create (default: runs/imported/FILE)")
    parser.add_argument(
        "--crop-seconds",
        type=float,
        default=10.0,
        metavar="S",
        help="length of the sub-clips whose embeddings are averaged; default: 10, as in the training of PANNs",
    )


def execute(arguments: argparse.Namespace) -> int:
    """Imports the checkpoint and returns the exit status.

    Raises:
        UserError: The file is not a checkpoint of PANNs, or the output cannot be written.
    """
    # Imported here so that `diptych --help` and the messages about wrong arguments stay fast.
    from beam_jobs import command_lines
    from components.importer import panns
    from pipeline import paths

    output = paths.absolute(arguments.output or f"runs/imported/{pathlib.Path(arguments.checkpoint).stem}")
    summary = panns.import_checkpoint(arguments.checkpoint, output=output, crop_seconds=arguments.crop_seconds)
    print(f"{summary}, in {output}")
    compare = command_lines.diptych("run", "--preset", "tiny", "--data", "PATH", "--import", output)
    print(f"Compare, with your labeled audio as PATH: {compare}")
    return exit_status.OK
