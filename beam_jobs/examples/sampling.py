"""Draws clips from a split and reads them, without reading all of a large split."""

import itertools
from collections.abc import Callable, Mapping, Sequence

import numpy as np
import tensorflow as tf

from beam_jobs.examples.info import ExamplesInfo
from beam_jobs.examples.read import tfrecords

_CLIPS_READ_PER_CLIP = 4
_FEW_CLIPS = 2000
_FILES = 64

Parser = Callable[[tf.Tensor], Mapping[str, tf.Tensor]]


def drawing_order(info: ExamplesInfo, split: str, *, count: int, seed: int) -> np.ndarray:
    """Returns the order in which to draw clips of a split. Only the number of clips in each file decides it.

    `read_clips` reads a file up to the last of its clips, so the clips come from few bytes. A split that is small, or
    not much larger than the sample, is drawn from as a whole, each clip with the same probability. Of a larger one, the
    first clips of files at random are drawn: their order is that of a hash, so that they are a fair sample. Only where
    the examples come from TFDS is it that of the source, which may be sorted by class, so that many files take part.

    Args:
        info: The examples.
        split: The split.
        count: Number of clips to draw.
        seed: Seed of the order.

    Returns:
        Numbers of clips in their split, the first one to draw first. They are more than `count`, if the split has more,
        for whoever does not want every clip.
    """
    lengths, rng = np.array(info.shard_lengths[split]), np.random.default_rng(seed)
    considered = max(_CLIPS_READ_PER_CLIP * count, _FEW_CLIPS)
    if lengths.sum() <= considered:
        return rng.permutation(lengths.sum())
    files = rng.permutation(len(lengths))
    enough = 1 + int(np.searchsorted(lengths[files].cumsum(), considered))
    files = files[: max(enough, _FILES)]
    starts = (lengths.cumsum() - lengths)[files]
    turns = range(lengths[files].max())
    in_turn = (start + turn for turn in turns for start, n in zip(starts, lengths[files], strict=True) if turn < n)
    return np.fromiter(itertools.islice(in_turn, considered), int)


@tf.autograph.experimental.do_not_convert  # Its functions need no AutoGraph, which takes seconds.
def read_clips(
    info: ExamplesInfo, split: str, *, numbers: Sequence[int] | np.ndarray, parse: Parser
) -> tf.data.Dataset:
    """Streams some clips of a split, in the order of the files. Each file is read up to the last of its clips.

    Reading fails if a file ends before that clip, or has more clips after the last one of the file.

    Args:
        info: The examples.
        split: The split.
        numbers: Numbers of the clips in the split.
        parse: Parses a serialized Example.
    """
    lengths = np.array(info.shard_lengths[split])
    is_read = np.zeros(lengths.sum(), bool)
    is_read[np.asarray(numbers, int)] = True
    shards = []
    for path, start, length in zip(info.files(split), lengths.cumsum() - lengths, lengths, strict=True):
        inside = np.flatnonzero(is_read[start : start + length])
        if inside.size:
            shards.append((path, start, inside[-1] + 1, inside[-1] + 1 == length))
    paths, starts, ends, are_whole = zip(*shards, strict=True) if shards else ((), (), (), ())
    selected = tf.constant(is_read)

    def read_shard(path: tf.Tensor, start: tf.Tensor, end: tf.Tensor, is_whole: tf.Tensor) -> tf.data.Dataset:
        records = tfrecords(path).take(tf.where(is_whole, tf.constant(-1, tf.int64), end))
        records = records.apply(tf.data.experimental.assert_cardinality(end))
        return records.enumerate(start).filter(lambda number, _: selected[number])

    files = tf.data.Dataset.from_tensor_slices(
        (
            tf.constant(paths, tf.string),
            tf.constant(starts, tf.int64),
            tf.constant(ends, tf.int64),
            tf.constant(are_whole, tf.bool),
        )
    )
    records = files.flat_map(read_shard)
    clips = records.map(
        lambda number, record: {"number": number, **parse(record)},
        num_parallel_calls=tf.data.AUTOTUNE,
        deterministic=True,
    )
    return clips.prefetch(tf.data.AUTOTUNE)
