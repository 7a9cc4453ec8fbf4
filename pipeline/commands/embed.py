"""`diptych embed`: embeds audio files with an exported model."""

import argparse
import sys

from pipeline.commands import exit_status

SUMMARY = "embed audio files with an exported model"

DESCRIPTION = """\
Embeds audio files with an exported SavedModel and writes a NumPy archive with the arrays path, embedding,
and one per format. The files may have any length, any sample rate and any common codec. The embedding of a
file is the mean over its sub-clips. Below a folder, the files are embedded whose suffix is that of audio or
video, at any depth; hidden files are passed over, and what else is left out is counted."""

EPILOG = """\
example:
  diptych embed --model runs/quickstart/artifacts/Exporter/saved_model/6 *.wav"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the arguments of the command."""
    parser.add_argument("--model", required=True, metavar="DIR", help="the SavedModel that `diptych run` named")
    parser.add_argument("--output", default="embeddings.npz", metavar="FILE", help="default: embeddings.npz")
    parser.add_argument("files", nargs="+", metavar="PATH", help="audio files, or folders of them")


def execute(arguments: argparse.Namespace) -> int:
    """Embeds the files and returns the exit status.

    Raises:
        UserError: There is no such model or file, or the output cannot be written.
    """
    # Imported here so that `diptych --help` and the messages about wrong arguments stay fast.
    from beam_jobs import sources
    from pipeline.serving import embed_files

    embedded = embed_files.embed_files(arguments.model, arguments.files, output=arguments.output)
    for path, reason in embedded.quarantined.items():
        print(f"diptych: {path} quarantined: {reason}", file=sys.stderr)
    if embedded.left_out:
        print(f"diptych: left out {sources.describe(embedded.left_out)}", file=sys.stderr)
    print(f"{embedded.count} files embedded, {len(embedded.quarantined)} quarantined, in {arguments.output}")
    return exit_status.OK
