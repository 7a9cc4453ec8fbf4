"""Shows in TensorBoard what was embedded: the vectors as a whole, and some clips to see and to hear."""

from collections.abc import Sequence

import numpy as np
import tensorflow as tf
from etils import epath

from beam_jobs import examples
from beam_jobs.embedding.job import Job
from beam_jobs.embedding.read import Embeddings
from components import tensorboard
from components.embedder.loaders import TRAINED
from components.embedder.summaries import neighbors, projector, sample, vectors


def write(folder: epath.Path, job: Job, *, directory: epath.Path) -> None:
    """Writes what the Embedder shows. What it reads and writes does not grow with the number of clips.

    Args:
        folder: The embeddings. Clips are shown by their vectors of the trained model.
        job: What wrote them.
        directory: Folder of the event files.
    """
    embeddings = Embeddings(folder)
    with tensorboard.writer(directory).as_default(step=0):
        vectors.write(embeddings)
        clips = sample.draw(embeddings, TRAINED, info=job.info, shards=job.plan())
        if clips:
            _write_clips(clips, info=job.info, directory=directory)


def _write_clips(clips: Sequence[sample.DrawnClip], *, info: examples.ExamplesInfo, directory: epath.Path) -> None:
    """Reads the audio of the clips once, and writes their neighbors and the files of the projector."""
    queries = neighbors.find(clips)
    heard = {index for query in queries for index in query.heard}
    audio: dict[int, np.ndarray] = {}
    tiles = []
    for index, samples in enumerate(sample.read_audio(clips, info=info)):
        beginning = samples[: neighbors.MOST_SECONDS * info.sample_rate]
        if index in heard:
            audio[index] = beginning.copy()  # A slice would keep the whole clip.
        tiles.append(projector.tile(beginning, sample_rate=info.sample_rate))
    neighbors.write(queries, clips, audio, sample_rate=info.sample_rate)
    share = projector.write(clips, tiles, directory=directory)
    tf.summary.text(
        "projector",
        f"The tab Projector shows {len(clips):,} clips of all splits, by the first {projector.COMPONENTS} principal "
        f"components of their embeddings, which hold {share:.0%} of the variance. Color them by class.",
    )
