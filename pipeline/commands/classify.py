"""`diptych classify`: trains a classifier on embeddings, or applies one to audio files."""

import argparse
import sys

from components import text
from components.errors import UserError
from pipeline.commands import exit_status
from pipeline.commands import shared_arguments as shared

SUMMARY = "train a classifier on embeddings, or classify files with it"

DESCRIPTION = """\
Trains a linear classifier on stored embeddings and prints its cross-validated score. With --output it writes a
SavedModel that takes audio and returns the scores of the classes. With --head it classifies audio files with
such a SavedModel."""

EPILOG = """\
examples:
  diptych embed --model MODEL ~/sounds --output sounds.parquet
  diptych classify --embeddings sounds.parquet --labels ~/sounds --model MODEL --output head
  diptych classify --head head new.wav --output scores.csv"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the arguments of the command."""
    shared.add_embeddings(parser, required=False)
    parser.add_argument(
        "--labels",
        metavar="PATH",
        help="a folder with a sub-folder for each class, a folder with lists as for `diptych run`, or a CSV file with "
        "the columns file and label (several labels are separated by ;), or labels as in a manifest",
    )
    parser.add_argument("--model", metavar="DIR", help="the SavedModel that made the embeddings")
    parser.add_argument("--head", metavar="DIR", help="classify audio files with the head that --output wrote")
    parser.add_argument(
        "--output", metavar="PATH", help="folder of the head to write; with --head, a CSV file of the scores"
    )
    parser.add_argument(
        "--windows", action="store_true", help="with --head, classify each window of a file instead of their mean"
    )
    parser.add_argument("files", nargs="*", metavar="FILE", help="with --head, the audio files or folders to classify")


def execute(arguments: argparse.Namespace) -> int:
    """Trains or classifies, and returns the exit status.

    Raises:
        UserError: The arguments do not fit, or there are no such embeddings, labels, model, head or files.
    """
    if arguments.head:
        _refuse(arguments, "embeddings", "labels", "model", "features", why="with --head, nothing is trained")
        if not arguments.files:
            raise UserError("There is nothing to classify: give audio files.")
        return _classify(arguments)
    if not arguments.embeddings or not arguments.labels:
        raise UserError("Give --embeddings and --labels to train a head, or --head and audio files to use one.")
    _refuse(arguments, "files", "windows", why="they are classified with --head")
    if arguments.output and not arguments.model:
        raise UserError("A head takes audio: give the SavedModel that made the embeddings with --model.")
    return _train(arguments)


def _refuse(arguments: argparse.Namespace, *names: str, why: str) -> None:
    for name in names:
        if getattr(arguments, name):
            flag = "Audio files" if name == "files" else f"--{name}"
            raise UserError(f"{flag} cannot be given here: {why}.")


def _train(arguments: argparse.Namespace) -> int:
    # Imported here so that `diptych --help` and the messages about wrong arguments stay fast.
    from pipeline.serving.embedding import exported_model
    from pipeline.vectors import models
    from pipeline.vectors.head import building, labeled, labels, training
    from pipeline.vectors.stored import open_vectors

    stored = open_vectors(arguments.embeddings, features=arguments.features)
    saved_model = ""
    if arguments.output:
        saved_model = exported_model.place(arguments.model)
        building.check_place(arguments.output)
        building.check_model(saved_model)
        models.check_made(stored, model=saved_model)
    given = labels.read(arguments.labels)
    if given.left_out:
        count = f"{len(given.left_out):,} of the rows and files of --labels"
        print(f"diptych: left out {count}, e.g. {given.left_out[0]}", file=sys.stderr)
    data = labeled.read(stored, given)
    for count, noun, what in (
        (data.unlabeled, "embedded file", "without a label"),
        (data.without_vectors, "labeled file", "not among the embeddings"),
    ):
        if count:
            print(f"diptych: left out {text.plural(count, noun)} {what}", file=sys.stderr)
    if len(data.files) < data.labeled:
        print(
            f"diptych: trains on a sample of {len(data.files):,} of {data.labeled:,} labeled files, the same share of "
            "each class, because to train on all takes more than 1 GiB",
            file=sys.stderr,
        )
    head, validated = training.train(data.x, data.targets, files=data.files, classes=data.classes)
    print(
        f"{validated.metric} {validated.score:.3f} (95 % interval {validated.low:.3f} to {validated.high:.3f}), "
        f"{validated.folds}-fold cross-validation over {text.plural(validated.files, 'file')} of "
        f"{len(head.classes):,} classes"
    )
    if arguments.output:
        building.save(head, validated, arguments.output, stored=stored, saved_model=saved_model)
        print(f"SavedModel: {arguments.output}, checked in a fresh process; it takes audio and returns scores")
    return exit_status.OK


def _classify(arguments: argparse.Namespace) -> int:
    # Imported here for the reason above; the description first, because TensorFlow takes seconds to load.
    from pipeline import output_files
    from pipeline.vectors import queries
    from pipeline.vectors.head import description

    if arguments.output is not None:
        output_files.check(arguments.output)
    described = description.read(arguments.head)
    files = queries.find(arguments.files)
    if arguments.output is not None:
        output_files.refuse_inputs(arguments.output, files.files)
        output_files.refuse_inputs(arguments.output, description.parts(arguments.head), what="of --head")

    # Imported here for the reason above.
    from rich.console import Console

    from pipeline.vectors.head import classifying

    embedder = classifying.HeadEmbedder(arguments.head, described)
    asked, left_out = queries.embedded(files, embedder, columns=tuple(embedder.dims), each_window=arguments.windows)
    for sentence in left_out:
        print(f"diptych: {sentence}", file=sys.stderr)
    if not asked:
        raise UserError("None of the files could be decoded: give at least one audio file.")
    classified = classifying.classify(asked, embedder.head)
    if arguments.output is not None:
        classifying.write(classified, described.classes, arguments.output)
    classifying.show(classified, described.classes, Console())
    return exit_status.OK
