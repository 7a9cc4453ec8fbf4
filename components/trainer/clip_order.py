"""The order in which an epoch visits the clips. It derives from seed and epoch, so that any part can be skipped.

With `clips_per_read=1`, the order is random over all clips, and each clip is read alone. No clip is held to
shuffle; the order takes 8 bytes a clip. The hosts take turns, so that the global batches are the same with any number
of hosts.

With more, neighboring clips of a file are a block, which is read at once:

    blocks     in random order over all files; the hosts get equal, adjacent parts of the order, clip by clip
    window     `WINDOW_READS` blocks, divided among the hosts, whose clips are shuffled
    memory     a host holds two windows: one that is used up, and the next one
    resume     reads the window that it is in from its start
"""

import dataclasses
from collections.abc import Callable

import numpy as np
import tensorflow as tf

from components.trainer.stored_clips import StoredClips

WINDOW_READS = 1024
"""Number of blocks from which a batch is drawn. A batch of a thousand clips then comes from more than 500 files."""

WINDOWS = 2
"""Number of windows that a host holds: the clips of one are used up while those of the next one are read."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class HostShare:
    """The part of an epoch that one host reads.

    Attributes:
        hosts: Number of hosts.
        host: Index of this host.
        clips_per_step: Clips that the host contributes to a global batch.
        steps_per_epoch: Steps in an epoch.
    """

    hosts: int
    host: int
    clips_per_step: int
    steps_per_epoch: int

    @property
    def clips(self) -> int:
        """Number of clips that the host reads in an epoch."""
        return self.clips_per_step * self.steps_per_epoch

    def place(self, index: tf.Tensor) -> tf.Tensor:
        """Returns the places in the epoch of some clips of this host, int64 of any shape.

        Args:
            index: How many clips of the epoch the host reads before each of them, int64 of the same shape.
        """
        if self.hosts == 1:
            return index
        step, place_in_share = index // self.clips_per_step, index % self.clips_per_step
        return (step * self.hosts + self.host) * self.clips_per_step + place_in_share


class ClipOrder:
    """Reads the clips of a host in the order of each epoch.

    Args:
        clips: The clips.
        share: The part of the host.
        seed: Seed of the order, int64 ().
        clips_per_read: Clips in a block.
        reads_at_a_time: How many clips or blocks are read at the same time.
    """

    def __init__(
        self, clips: StoredClips, share: HostShare, *, seed: tf.Tensor, clips_per_read: int, reads_at_a_time: int
    ):
        self._clips, self._share, self._seed = clips, share, seed
        self._reads_at_a_time = reads_at_a_time
        self._window = min(window_clips(clips_per_read, hosts=share.hosts), share.clips)
        self._blocks = None if clips_per_read == 1 else _blocks(clips.lengths, clips_per_read)

    def records(self, epoch: tf.Tensor, *, first: tf.Tensor) -> tf.data.Dataset:
        """Streams the clips of the host in an epoch. An element is a serialized `tf.train.Example`, string ().

        Call it in a function that a `tf.data.Dataset` maps or interleaves.

        Args:
            epoch: Number of the epoch, int64 ().
            first: Number of clips at the beginning to leave out, int64 ().
        """
        if self._blocks is None:
            return self._single_clips(epoch, first=first)
        windows = tf.data.Dataset.range(first // self._window, -(-self._share.clips // self._window))
        clips = windows.flat_map(self._window_function(epoch))
        return clips.skip(first % self._window).prefetch(self._window)

    def _single_clips(self, epoch: tf.Tensor, *, first: tf.Tensor) -> tf.data.Dataset:
        order = self._shuffled(self._clips.count, epoch=epoch)
        numbers = tf.gather(order, self._share.place(tf.range(first, self._share.clips, dtype=tf.int64)))
        numbers = tf.data.Dataset.from_tensor_slices(numbers)
        return self._interleave(numbers, lambda number: self._clips.read(number, tf.constant(1, tf.int64)))

    def _window_function(self, epoch: tf.Tensor) -> Callable[[tf.Tensor], tf.data.Dataset]:
        """Returns the function that reads the clips of a window in random order."""
        firsts, counts = self._blocks
        order = self._shuffled(firsts.shape[0], epoch=epoch)
        firsts, ends = tf.gather(firsts, order), tf.cumsum(tf.gather(counts, order))  # int64 (blocks,)
        starts = tf.concat([[tf.constant(0, tf.int64)], ends[:-1]], axis=0)  # int64 (blocks,), places of first clips

        def read_window(window: tf.Tensor) -> tf.data.Dataset:
            place = self._share.host * self._share.clips + window * self._window
            end = tf.minimum(place + self._window, (self._share.host + 1) * self._share.clips)
            blocks = tf.searchsorted(ends, tf.stack([place, end - 1]), side="right", out_type=tf.int64)

            def read_block(block: tf.Tensor) -> tf.data.Dataset:
                skipped = tf.maximum(place - starts[block], 0)  # They belong to the window before, or to another host.
                count = tf.minimum(ends[block], end) - starts[block] - skipped
                return self._clips.read(firsts[block] + skipped, count)

            clips = self._interleave(tf.data.Dataset.range(blocks[0], blocks[1] + 1), read_block)
            return clips.shuffle(self._window, seed=epoch * 7919 + window * 104729 + self._seed)

        return read_window

    def _shuffled(self, count: int, *, epoch: tf.Tensor) -> tf.Tensor:
        """Returns the numbers below `count` in an order of the epoch, int64 (count,)."""
        numbers = tf.range(count, dtype=tf.int64)
        return tf.random.experimental.stateless_shuffle(numbers, seed=tf.stack([self._seed, epoch]))

    def _interleave(self, numbers: tf.data.Dataset, read: Callable[..., tf.data.Dataset]) -> tf.data.Dataset:
        return numbers.interleave(
            read, cycle_length=self._reads_at_a_time, num_parallel_calls=tf.data.AUTOTUNE, deterministic=True
        )


def window_clips(clips_per_read: int, *, hosts: int) -> int:
    """Returns the number of clips in a window of one of several hosts."""
    return max(WINDOW_READS // hosts, 1) * clips_per_read


def _blocks(lengths: np.ndarray, size: int) -> tuple[tf.Tensor, tf.Tensor]:
    """Divides the clips of each file into blocks.

    Args:
        lengths: Number of clips in each file, int64 (files,).
        size: Clips in a block; the last one of a file may have fewer.

    Returns:
        The number of the first clip of each block, and the number of its clips, int64 (blocks,).
    """
    per_file = -(-lengths // size)
    index_in_file = np.arange(per_file.sum()) - np.repeat(per_file.cumsum() - per_file, per_file)
    counts = np.minimum(np.repeat(lengths, per_file) - index_in_file * size, size)
    firsts = np.repeat(lengths.cumsum() - lengths, per_file) + index_in_file * size
    return tf.constant(firsts), tf.constant(counts)
