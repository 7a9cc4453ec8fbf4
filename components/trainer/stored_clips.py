"""Reads any stored clip of a split by its number, without reading the ones before it."""

import numpy as np
import tensorflow as tf

from beam_jobs import examples
from beam_jobs.examples import record_sizes, tfrecord


class StoredClips:
    """The places of all clips of a split.

    They are tensors: 12 bytes for a clip, 24 MB for two million. Reading needs no Python, so it works in every process
    that TensorFlow runs an input pipeline in.

    Args:
        info: A folder of examples.
        split: The split.

    Raises:
        DamagedExamplesError: See `record_sizes.read`.

    Attributes:
        count: Number of clips.
        lengths: Number of clips in each file, int64 (files,).
    """

    def __init__(self, info: examples.ExamplesInfo, split: str):
        lengths = np.array(info.shard_lengths[split], np.int64)
        self.count = info.splits[split]
        self.lengths = lengths
        self._paths = tf.constant(info.files(split))  # string (files,)
        self._ends = tf.constant(lengths.cumsum())  # int64 (files,)
        self._files = tf.constant(np.repeat(np.arange(lengths.size, dtype=np.int32), lengths))  # (clips,)
        self._offsets = tf.constant(_offsets(record_sizes.read(info, split), lengths))  # int64 (clips,)

    def read(self, number: tf.Tensor, count: tf.Tensor) -> tf.data.Dataset:
        """Streams neighboring clips of one file. An element is a serialized `tf.train.Example`, string ().

        Call it in a function that a `tf.data.Dataset` maps or interleaves, see `read_some`.

        Args:
            number: Number of the first clip in the order of the files, int64 ().
            count: Number of clips, int64 ().
        """
        file, offset = tf.gather(self._files, number), tf.gather(self._offsets, number)
        are_last = tf.equal(tf.gather(self._ends, file), number + count)
        return examples.read_some(tf.gather(self._paths, file), offset=offset, clips=count, are_last=are_last)


def _offsets(sizes: np.ndarray, lengths: np.ndarray) -> np.ndarray:
    """Returns where each record begins in its file, int64 (clips,).

    Args:
        sizes: Bytes of each record, int64 (clips,).
        lengths: Number of records in each file, int64 (files,).
    """
    ends = (sizes + tfrecord.FRAME).cumsum()
    starts = ends - sizes - tfrecord.FRAME
    firsts = lengths.cumsum() - lengths
    # A file may be empty, also the last one.
    of_files = np.append(starts, ends[-1:])[firsts]
    return starts - np.repeat(of_files, lengths)
