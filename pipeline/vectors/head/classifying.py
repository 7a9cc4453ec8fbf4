"""Applies a saved head to audio files."""

import csv
import dataclasses
from collections.abc import Iterable, Sequence

import numpy as np
import tensorflow as tf
from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from beam_jobs import error_text, storage
from beam_jobs.embedding.embedder import Framing
from components.errors import UserError
from pipeline import output_files
from pipeline.vectors.head.description import FILE, HeadDescription
from pipeline.vectors.head.training import Head
from pipeline.vectors.queries import Query

_SHOWN_CLASSES = 3
_EMBEDDING = "embedding"


class HeadEmbedder:
    """The model below a saved head. It is an `embedder.Embedder` with one embedding.

    Args:
        folder: The saved head.
        description: Its description.

    Attributes:
        head: The head alone.
    """

    def __init__(self, folder: str, description: HeadDescription):
        try:
            with storage.without_wildcards(folder) as readable:
                self._model = tf.saved_model.load(readable)
            kernel, bias = self._model.kernel.numpy(), self._model.bias.numpy()
        except Exception as error:  # TensorFlow raises errors of many types for damaged files.
            raise UserError(
                f"--head {folder} cannot be loaded ({error_text.first_line(error)}): train it again."
            ) from error
        expected = (description.dim, len(description.classes))
        if kernel.shape != expected or bias.shape != expected[1:]:
            raise UserError(
                f"--head {folder}: its {FILE} describes {expected[1]:,} classes of {expected[0]:,} numbers, and the "
                f"classifier has a kernel of the shape {kernel.shape}: train it again."
            )
        self.framing = Framing(
            sample_rate=description.sample_rate,
            window_samples=description.window_samples,
            hop_samples=description.hop_samples,
        )
        self.dims = {_EMBEDDING: description.dim}
        self.head = Head(classes=description.classes, activation=description.activation, kernel=kernel, bias=bias)

    def embed(self, windows: np.ndarray) -> dict[str, np.ndarray]:
        """See `embedder.Embedder`. A clip as long as a window has one."""
        return {_EMBEDDING: self._model.signatures["serving_default"](audio=tf.constant(windows))[_EMBEDDING].numpy()}


@dataclasses.dataclass(frozen=True, kw_only=True)
class Classified:
    """The scores of a file, or of a window of one.

    Attributes:
        name: The file.
        start_s: Where the window begins, in seconds; 0 for a whole file.
        end_s: Where it ends.
        scores: float (classes,).
    """

    name: str
    start_s: float
    end_s: float
    scores: np.ndarray


def classify(queries: Iterable[Query], head: Head) -> list[Classified]:
    """Returns the scores of vectors."""
    return [
        Classified(name=query.name, start_s=query.start_s, end_s=query.end_s, scores=head.scores(query.vector[None])[0])
        for query in queries
    ]


def show(classified: Sequence[Classified], classes: Sequence[str], console: Console) -> None:
    """Prints the likeliest classes of each file or window."""
    table = Table(box=box.ROUNDED)
    table.add_column("file", overflow="fold")
    table.add_column("from, to (s)", justify="right", no_wrap=True)
    table.add_column("classes", overflow="fold")
    for row in classified:
        best = np.argsort(-row.scores, kind="stable")[:_SHOWN_CLASSES]
        likely = ", ".join(f"{classes[index]} {row.scores[index]:.3f}" for index in best)
        table.add_row(Text(row.name), f"{row.start_s:.1f}, {row.end_s:.1f}", Text(likely))
    console.print(table)


def write(classified: Sequence[Classified], classes: Sequence[str], output: str) -> None:
    """Writes a CSV file with a column for each class.

    Raises:
        UserError: The file cannot be written.
    """
    with output_files.writing(output) as file:
        writer = csv.writer(file)
        writer.writerow(["file", "start_s", "end_s", *classes])
        for row in classified:
            writer.writerow([row.name, row.start_s, row.end_s, *(f"{score:.6f}" for score in row.scores)])
