"""Which windows of a clip a signature embeds. All are as long as the crops of training."""

import dataclasses
from typing import Protocol

import tensorflow as tf

from models import subclips


class Windows(Protocol):
    """A way to cut windows out of clips.

    Attributes:
        crop: Length of a window, in samples.
    """

    crop: int

    def count(self, lengths: tf.Tensor) -> tf.Tensor:
        """Returns how many windows clips of some lengths have, at least one each. Both are int64 of one shape."""

    def positions(self, numbers: tf.Tensor, lengths: tf.Tensor) -> tf.Tensor:
        """Returns the samples of a clip that make up windows.

        Args:
            numbers: int64 (windows,), the number of each window within its clip, from 0.
            lengths: int64 (windows,), the length of that clip.

        Returns:
            int64 (windows, crop), each at least 0 and below the length.
        """


@dataclasses.dataclass(frozen=True, kw_only=True)
class Subclips:
    """The sub-clips of `models.subclips`: one every `stride` samples, and the last one ends with the clip.

    A clip shorter than the crop is repeated to fill it.
    """

    crop: int
    stride: int

    def count(self, lengths: tf.Tensor) -> tf.Tensor:
        return subclips.count_subclips(lengths, crop=self.crop, stride=self.stride)

    def starts(self, numbers: tf.Tensor, lengths: tf.Tensor) -> tf.Tensor:
        """Returns the first sample of each window, int64 (windows,)."""
        return tf.minimum(numbers * self.stride, tf.maximum(lengths - self.crop, 0))

    def positions(self, numbers: tf.Tensor, lengths: tf.Tensor) -> tf.Tensor:
        starts = self.starts(numbers, lengths)
        return (starts[:, None] + tf.range(self.crop, dtype=tf.int64)) % lengths[:, None]


@dataclasses.dataclass(frozen=True, kw_only=True)
class Frames:
    """A window around each point in time, one point every `hop` samples from sample 0 on, all within the clip.

    Beyond its ends, the clip is mirrored as often as needed. Zeros there would be a sound that is not in the clip, and
    repeating it would show its end at its beginning.
    """

    crop: int
    hop: int

    def count(self, lengths: tf.Tensor) -> tf.Tensor:
        return 1 + (lengths - 1) // self.hop

    def positions(self, numbers: tf.Tensor, lengths: tf.Tensor) -> tf.Tensor:
        first = numbers * self.hop - self.crop // 2
        unbounded = first[:, None] + tf.range(self.crop, dtype=tf.int64)
        there_and_back = unbounded % (2 * lengths[:, None])  # Never negative, like Python's.
        return tf.minimum(there_and_back, 2 * lengths[:, None] - 1 - there_and_back)
