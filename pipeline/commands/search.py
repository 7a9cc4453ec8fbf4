"""`diptych search`: finds the sounds that are nearest to a sound."""

import argparse
import os
import sys

from components.errors import UserError
from pipeline.commands import exit_status
from pipeline.commands import shared_arguments as shared

SUMMARY = "find the sounds nearest to a sound among embeddings"

DESCRIPTION = """\
Finds the stored embeddings with the largest cosine to that of a sound, exactly: every one is compared. The
sound is an audio file (give the model that made the embeddings) or, with --like, a file that they hold.
Embeddings of more than 64 MiB are kept as memory-mapped float16 for the next search; it says where."""

EPILOG = """\
examples:
  diptych embed --model MODEL ~/recordings --output sounds.parquet
  diptych search --embeddings sounds.parquet --model MODEL query.wav
  diptych search --embeddings sounds.parquet --like ~/recordings/dog.wav -k 20 --output hits.csv"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the arguments of the command."""
    shared.add_embeddings(parser)
    parser.add_argument(
        "--model",
        metavar="MODEL",
        help=f"the model that made them, e.g. {shared.BUNDLED}; needed for audio files",
    )
    parser.add_argument(
        "--like", metavar="FILE", action="append", default=[], help="search for a file that they hold (repeatable)"
    )
    parser.add_argument("-k", type=int, default=10, metavar="N", help="hits for each query (default: 10)")
    parser.add_argument(
        "--windows",
        action="store_true",
        help="search for each window of a sound instead of their mean, and list windows instead of files",
    )
    parser.add_argument("--output", metavar="FILE", help="also write the hits to a CSV file")
    parser.add_argument("--cache", metavar="DIR", help="folder for the float16 vectors")
    parser.add_argument("queries", nargs="*", metavar="QUERY", help="audio files to search for, or folders of them")


def execute(arguments: argparse.Namespace) -> int:
    """Searches, prints the hits and returns the exit status.

    Raises:
        UserError: The arguments do not fit, or there are no such embeddings, model or file.
    """
    _check(arguments)
    # Imported here so that `diptych --help` and the messages about wrong arguments stay fast.
    import numpy as np

    from beam_jobs.embedding import info
    from pipeline import output_files
    from pipeline.console.progress import Display
    from pipeline.vectors import hits, index, models, nearest, queries
    from pipeline.vectors.stored import open_vectors

    if arguments.output is not None:
        output_files.check(arguments.output)
    stored = open_vectors(arguments.embeddings, features=arguments.features)
    state = stored.state()
    files = queries.find(arguments.queries) if arguments.queries else None
    if arguments.output is not None:
        output_files.refuse_inputs(arguments.output, files.files if files else [])
        described = os.path.join(arguments.embeddings, info.FILE)
        known = [arguments.embeddings, described, *stored.files, arguments.model or "", *arguments.like]
        output_files.refuse_inputs(arguments.output, known, what="to read")
    embedder = models.load(arguments.model, stored=stored) if files else None
    display = Display()
    with display.stage("Index") as progress:
        vectors = index.load(stored, cache=arguments.cache or "", progress=progress)
    if vectors.folder is not None:
        verb = "written to" if vectors.is_new else "read from"
        display.say(f"float16 vectors ({vectors.vectors.nbytes / 2**20:,.0f} MiB) {verb} {vectors.folder}")
    asked = queries.like(stored, vectors, arguments.like, each_window=arguments.windows)
    if embedder is not None:
        columns = models.columns(embedder.dims, stored=stored)
        of_files, left_out = queries.embedded(files, embedder, columns=columns, each_window=arguments.windows)
        asked += of_files
        for sentence in left_out:
            print(f"diptych: {sentence}", file=sys.stderr)
    if not asked:
        raise UserError("None of the queries could be decoded: give at least one audio file.")
    asked = queries.different(asked)
    queries.check(asked)
    found = nearest.search(
        vectors,
        np.stack([query.vector for query in asked]),
        k=arguments.k,
        one_per_file=not arguments.windows,
        but=[query.but for query in asked],
    )
    result = hits.join(stored, asked, found)
    if stored.state() != state:  # The vectors may be those of before, and the names those of now.
        raise UserError(f"--embeddings {arguments.embeddings} was written again during the search: search once more.")
    if arguments.output is not None:
        hits.write(result, arguments.output)
    hits.show(result, display.console)
    for sentence in hits.without_any(asked, found):
        print(f"diptych: {sentence}", file=sys.stderr)
    return exit_status.OK


def _check(arguments: argparse.Namespace) -> None:
    if arguments.k < 1:
        raise UserError(f"-k {arguments.k}: ask for at least one hit.")
    if not arguments.queries and not arguments.like:
        raise UserError("There is nothing to search for: give audio files, or --like FILE for one of the embeddings.")
    if arguments.queries and not arguments.model:
        raise UserError(
            "Audio files are embedded first: give the model that made the embeddings with --model, or search for "
            "a file that they hold with --like."
        )
