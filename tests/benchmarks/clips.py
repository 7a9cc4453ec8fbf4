"""What the benchmarks that score models share: ESC-50's clips, and the embeddings of stored clips by one model."""

import hashlib
import os
import pathlib
import shutil

import numpy as np
from etils import epath

from beam_jobs import audio, examples, storage
from beam_jobs.embedding import job, publish
from beam_jobs.embedding.embedder import TRAINED, Loader
from beam_jobs.embedding.read import Embeddings
from beam_jobs.embedding.shared import SharedEmbedders
from beam_jobs.sources import esc50
from beam_jobs.sources.clips import SourceError, locate
from components.embedder.loaders import EvaluatedLoader
from tests.benchmarks.measuring import SAMPLE_RATE
from tests.components import stored_examples

_WINDOWS_AT_A_TIME = 64

Clip = tuple[np.ndarray, tuple[int, ...], int]
"""The samples, int16 at 16 kHz, the class indices and the fold of a clip."""


def read_esc50(folder: pathlib.Path) -> tuple[list[Clip], tuple[str, ...]]:
    """Reads ESC-50 as it is distributed, or a converted copy.

    Args:
        folder: It holds `meta/esc50.csv` and `audio/`.

    Returns:
        The clips in the order of the table, and the names of the classes.

    Raises:
        SourceError: There is no such table.
        DecodeError: A file is missing or damaged.
    """
    files = sorted(os.path.join("audio", path.name) for path in (folder / "audio").glob("*"))
    listing = esc50.list_clips(epath.Path(folder), files)
    numbers = {name: number for number, name in enumerate(listing.label_names)}
    clips = [
        (
            audio.decode_file(locate(folder, clip.path), sample_rate=SAMPLE_RATE),
            tuple(numbers[label] for label in clip.labels),
            clip.fold,
        )
        for clip in listing.clips
    ]
    return clips, listing.label_names


def write_esc50(data: pathlib.Path, folder: pathlib.Path) -> examples.ExamplesInfo:
    """Writes ESC-50 as examples of one split, train, unless they are there.

    A file beside the folder, `FOLDER.source`, has a digest of what was read.

    Args:
        data: See `read_esc50`.
        folder: The folder of examples.

    Raises:
        SourceError: See `read_esc50`; or the folder holds examples of other audio, or does not tell of which.
        DecodeError: See `read_esc50`.
    """
    source, read = folder.with_suffix(".source"), _digest(data)
    if folder.exists():
        if not source.exists() or source.read_text() != read:
            raise SourceError(
                f"{folder} may hold examples of other audio than {data}: remove it, or give another folder to work in."
            )
    else:
        clips, names = read_esc50(data)
        unfinished = folder.with_suffix(".unfinished")
        shutil.rmtree(unfinished, ignore_errors=True)  # Of a run that was stopped.
        stored_examples.write_examples(unfinished, {"train": clips}, label_names=names, has_folds=True, shards=4)
        source.write_text(read)
        unfinished.replace(folder)
    return examples.read_info(folder)


def _digest(data: pathlib.Path) -> str:
    """Returns a digest of ESC-50's table and audio: their names and contents."""
    digest = hashlib.sha256()
    for file in (data / "meta" / "esc50.csv", *sorted((data / "audio").glob("*"))):
        if file.is_file():
            digest.update(f"{file.name} {storage.file_digest(file).sha256}\n".encode())
    return digest.hexdigest()


def embed(loader: Loader, info: examples.ExamplesInfo, *, folder: epath.Path) -> Embeddings:
    """Embeds the windows of all clips with one model, as the Embedder does with the exported one.

    Args:
        loader: Loads the model.
        info: The examples.
        folder: An existing folder, in which the embeddings are written.
    """
    loader = EvaluatedLoader(loader, model=loader.name)
    embedding_job = job.Job(
        info=info,
        embedders=SharedEmbedders([loader]),
        digests={TRAINED: loader.digest()},
        limits={TRAINED: None},
        row="window",
        batch_size=_WINDOWS_AT_A_TIME,
    )
    work, output = folder / "work", folder / "embeddings"
    work.mkdir()
    output.mkdir()
    finished = job.write_shards(embedding_job, work_dir=work)
    publish.publish(embedding_job, finished, work=work, output=output)
    embedding_job.embedders.close()
    return Embeddings(output)
