"""`diptych embed`: embeds audio files with an exported model."""

import argparse
import sys
import typing

from components import shares, text
from components.errors import UserError
from pipeline.commands import exit_status
from pipeline.commands import shared_arguments as shared

if typing.TYPE_CHECKING:
    from pipeline.serving.embedding.embed import Model

SUMMARY = "embed audio files with an exported model"

DESCRIPTION = """\
Embeds sounds with an exported model and writes a table, a row a file or a window: file, start_s, end_s,
embedding, and one embedding per format. The files may have any length, any sample rate and any common codec.

A PATH is one of
  * an audio file, whatever its suffix
  * a folder: the files in it, at any depth, whose suffix is that of audio or video; hidden files are passed
    over, and what else is left out is counted
  * a manifest, path[,start,end][,labels] in CSV, or a folder with a manifest.csv: its rows, with their labels
  * a folder with the lists of ESC-50 or AudioSet, or with examples of AudioExampleGen: their clips and labels

A command that was stopped, even by SIGKILL, is continued by the same command, and then writes the same bytes as
one that was not. Until the end, what is finished is in the folder FILE.parts.

Files that cannot be decoded are named at the end and listed in a table beside the output, NAME.quarantined.csv.

exit status: 0 if at least one file was embedded; 2 if none was, or if an argument is wrong; 3 if more were
quarantined than --max-quarantine allows; 130, 143 or 129 if Ctrl-C, SIGTERM or SIGHUP stopped it."""

EPILOG = """\
examples:
  diptych embed --model runs/quickstart/artifacts/Exporter/saved_model/6 *.wav
  diptych embed --model runs/tiny/artifacts/Exporter/saved_model/5 ~/recordings --windows --output windows.parquet"""

_MOST_NAMED = 20


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the arguments of the command."""
    parser.add_argument(
        "--model",
        required=True,
        metavar="MODEL",
        help="the SavedModel that `diptych run` named, or one of its .tflite and .onnx files; of a folder of versions, "
        f"such as the Pusher's destination, the highest counts; or {shared.BUNDLED}",
    )
    add_shared_arguments(parser)


def add_shared_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds all arguments but the model, for `diptych client` as well."""
    parser.add_argument(
        "--output",
        default="embeddings.npz",
        metavar="FILE",
        help="a .parquet, .npz or .csv file; default: embeddings.npz",
    )
    parser.add_argument(
        "--windows",
        action="store_true",
        help="write a row for each window of a file; by default one for each file, the mean over its windows",
    )
    parser.add_argument(
        "--restart",
        action="store_true",
        help="forget what a command that was stopped has finished of this output, and begin again",
    )
    parser.add_argument(
        "--max-quarantine",
        metavar="SHARE",
        help="exit with status 3 if a larger share of the files is quarantined, e.g. 0 or 5%%; the output is written "
        "all the same",
    )
    parser.add_argument(
        "--batch-size",
        type=_windows,
        default=8,
        metavar="N",
        help="windows that the model gets at a time; default: 8, which is fast on CPUs; GPUs need more, e.g. 128",
    )
    parser.add_argument("paths", nargs="+", metavar="PATH", help="what to embed, see above")


def execute(arguments: argparse.Namespace) -> int:
    """Embeds the files and returns the exit status.

    Raises:
        UserError: There is no such model or file, the output cannot be written, or nothing could be embedded.
    """
    # Imported here so that `diptych --help` and the messages about wrong arguments stay fast.
    from pipeline.serving.embedding import exported_model

    _share(arguments.max_quarantine)  # Before the model is read.
    model = exported_model.given(arguments.model)
    model.check()
    return run(model, arguments)


def run(model: "Model", arguments: argparse.Namespace) -> int:
    """Embeds the files with a model and returns the exit status.

    Args:
        model: What embeds.
        arguments: Those of `add_shared_arguments`.

    Raises:
        UserError: There is no such file, the output cannot be written, or nothing could be embedded.
    """
    # Imported here for the reason above.
    from beam_jobs import sources
    from pipeline.console.progress import Display
    from pipeline.runner import interrupts
    from pipeline.serving.embedding import embed

    bound = _share(arguments.max_quarantine)
    display = Display(stderr=True)
    try:
        with interrupts.as_exceptions(), display.stage("embed") as progress:
            embedded = embed.embed(
                model,
                arguments.paths,
                output=arguments.output,
                row="window" if arguments.windows else "clip",
                restart=arguments.restart,
                progress=progress,
                batch_size=arguments.batch_size,
            )
    except interrupts.Interrupted as interrupt:
        display.say(interrupt.message)
        return interrupt.exit_status
    if embedded.damage:
        print(f"diptych: {embedded.damage}", file=sys.stderr)
    for entry in embedded.quarantined[:_MOST_NAMED]:
        print(f"diptych: {entry.sentence}", file=sys.stderr)
    if len(embedded.quarantined) > _MOST_NAMED:
        print(f"diptych: and {len(embedded.quarantined) - _MOST_NAMED:,} more", file=sys.stderr)
    if embedded.quarantined:
        print(f"diptych: {embedded.table} lists what was quarantined", file=sys.stderr)
    if embedded.left_out:
        print(f"diptych: left out {sources.describe(embedded.left_out)}", file=sys.stderr)
    if embedded.not_finite:
        print(
            f"diptych: embeddings of {text.plural(len(embedded.not_finite), 'file')} are not finite, "
            f"e.g. {embedded.not_finite[0]}: do not use their rows, and export the model again if there are many",
            file=sys.stderr,
        )
    print(f"{embedded.clips} files embedded, {len(embedded.quarantined)} quarantined, in {arguments.output}")
    is_within = len(embedded.quarantined) / (embedded.clips + len(embedded.quarantined)) <= bound
    return exit_status.OK if is_within else exit_status.TOO_MANY_QUARANTINED


def _windows(typed: str) -> int:
    """Parses a number of windows."""
    number = int(typed) if typed.isdecimal() else 0
    if number < 1:
        raise argparse.ArgumentTypeError(f"{typed!r} is not a number of windows, at least 1")
    return number


def _share(typed: str | None) -> float:
    """Parses a share of the files: "0.05" or "5%"; None allows any.

    Raises:
        UserError: It is none.
    """
    if typed is None:
        return 1.0
    try:
        share = shares.parse(typed)
    except ValueError:
        share = -1.0
    if not 0 <= share <= 1:
        raise UserError(f"--max-quarantine {typed} is not a share: give one from 0 to 1, or e.g. 5%.")
    return share
