"""A sample of the embedded clips, which TensorBoard shows: their vectors, and their audio, one after the other."""

import dataclasses
import functools
import itertools
from collections.abc import Iterator, Sequence

import numpy as np

from beam_jobs import examples
from beam_jobs.embedding import plan
from beam_jobs.embedding.read import Embeddings, read_file
from beam_jobs.embedding.table import Rows
from beam_jobs.examples import sampling

MOST_CLIPS = 1000
"""Clips of all splits together."""

_FILES = 32
"""Most files of a split that clips come from. Of each the first ones are drawn, which are found without reading on."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class DrawnClip:
    """A clip of the sample.

    Attributes:
        clip_id: Its name.
        split: Its split.
        number: Its number in the split, from 0.
        classes: The names of its classes.
        vector: float32 (dim,), its embeddings side by side, each of the same length, together of length 1.
    """

    clip_id: str
    split: str
    number: int
    classes: tuple[str, ...]
    vector: np.ndarray

    @property
    def label(self) -> str:
        """The names of its classes, e.g. "dog + rain"; "" without any."""
        return " + ".join(self.classes)


def draw(
    embeddings: Embeddings, embedder: str, *, info: examples.ExamplesInfo, shards: Sequence[plan.Shard]
) -> list[DrawnClip]:
    """Draws clips, always the same, from all splits: as many of each as there are, if they are few.

    Args:
        embeddings: The embeddings.
        embedder: Name of the embedder whose vectors to take.
        info: The examples.
        shards: What the embeddings were made of.

    Returns:
        At most `MOST_CLIPS` clips, in the order of the examples.
    """
    own = [shard for shard in shards if shard.embedder == embedder]
    splits = sorted(info.splits, key=lambda split: sum(shard.clips for shard in own if shard.split == split))
    drawn: list[DrawnClip] = []
    for place, split in enumerate(splits):  # The smallest first, so that the others get what it leaves.
        quota = (MOST_CLIPS - len(drawn)) // (len(splits) - place)
        files = [shard for shard in own if shard.split == split]
        chosen = np.random.default_rng(0).permutation(len(files))[:_FILES]
        streams = [_clips(embeddings, files[index], info=info) for index in chosen]
        in_turn = (clip for clips in itertools.zip_longest(*streams) for clip in clips if clip is not None)
        drawn += itertools.islice(in_turn, quota)
    order = list(info.splits)
    return sorted(drawn, key=lambda clip: (order.index(clip.split), clip.number))


def read_audio(clips: Sequence[DrawnClip], *, info: examples.ExamplesInfo) -> Iterator[np.ndarray]:
    """Reads the clips one by one, int16 (samples,) each.

    Args:
        clips: As `draw` returns them.
        info: The examples.
    """
    parse = functools.partial(examples.parse, storage=info.storage)
    for split, of_split in itertools.groupby(clips, key=lambda clip: clip.split):
        numbers = [clip.number for clip in of_split]
        for example in sampling.read_clips(info, split, numbers=numbers, parse=parse).as_numpy_iterator():
            yield example["audio"]


def _clips(embeddings: Embeddings, shard: plan.Shard, *, info: examples.ExamplesInfo) -> Iterator[DrawnClip]:
    """Reads the clips of one file of embeddings in order."""
    names = list(embeddings.info.embedders[shard.embedder].dims)
    blocks = read_file(embeddings.folder / shard.embedder / shard.file, names=names)
    rows = ((block, row) for block in blocks for row in range(len(block)))
    by_clip = itertools.groupby(rows, key=lambda item: item[0].clip_ids[item[1]])
    for number, (clip_id, of_clip) in zip(_numbers(shard, info=info), by_clip, strict=True):
        of_clip = list(of_clip)
        vectors = ([block.vectors[name][row] for block, row in of_clip] for name in names)
        means = [np.mean(rows, axis=0, dtype=np.float32) for rows in vectors]
        yield DrawnClip(
            clip_id=clip_id,
            split=shard.split,
            number=number,
            classes=tuple(info.label_names[label] for label in _labels(*of_clip[0])),
            vector=np.concatenate([_unit(mean) for mean in means]) / np.float32(np.sqrt(len(means))),
        )


def _numbers(shard: plan.Shard, *, info: examples.ExamplesInfo) -> Sequence[int]:
    """Returns the numbers in the split of the clips of a file of embeddings."""
    if shard.numbers is not None:
        return shard.numbers
    place = info.files(shard.split).index(shard.examples)
    start = sum(info.shard_lengths[shard.split][:place])
    return range(start, start + shard.stored)


def _labels(block: Rows, row: int) -> list[int]:
    return block.label_values[block.label_offsets[row] : block.label_offsets[row + 1]].tolist()


def _unit(vector: np.ndarray) -> np.ndarray:
    return vector / max(float(np.linalg.norm(vector)), 1e-12)
