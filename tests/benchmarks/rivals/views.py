"""The two views of BYOL-A: a mix with a past sound, then a random resized crop (Niizumi et al. 2021, section III).

Spectra are normalized, `(batch, frames, bands)`. Constants are those of the authors' code (nttcslab/byol-a).
"""

from collections.abc import Sequence

import tensorflow as tf

LARGEST_SHARE = 0.4  # of a past sound in a mix
PAST_SOUNDS = 2048
SCALES = (0.6, 1.5)  # of a crop, as a share of the spectrum, in time and in frequency
CANVAS = 1.5  # frames of the canvas that is cropped, as a multiple of the spectrum's


class Views:
    """Draws views, and keeps the last `PAST_SOUNDS` spectra.

    Args:
        shape: Frames and bands.
        seed: Of all that is drawn.
        past: Number of spectra to keep.
    """

    def __init__(self, shape: Sequence[int], *, seed: int, past: int = PAST_SOUNDS):
        self._random = tf.random.Generator.from_seed(seed)
        self._past = tf.Variable(tf.zeros((past, *shape)), trainable=False)
        self._seen = tf.Variable(0, trainable=False)  # Number of spectra so far.

    def draw(self, x: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        """Returns two views of each spectrum, and keeps the spectra for later mixes."""
        pair = self._view(x), self._view(x)
        size, batch = self._past.shape[0], x.shape[0]
        places = (self._seen + tf.range(batch)) % size
        self._past.scatter_nd_update(places[:, None], x)
        self._seen.assign_add(batch)
        return pair

    def _view(self, x: tf.Tensor) -> tf.Tensor:
        draws = self._random.uniform((x.shape[0], 6))  # in [0, 1)
        available = tf.minimum(self._seen, self._past.shape[0])
        numbers = tf.cast(draws[:, 0] * tf.cast(available, tf.float32), tf.int32)
        shares = tf.where(available > 0, LARGEST_SHARE * draws[:, 1], 0.0)
        return resized_crop(mix(x, tf.gather(self._past, numbers), shares=shares), draws[:, 2:])


def mix(x: tf.Tensor, past: tf.Tensor, *, shares: tf.Tensor) -> tf.Tensor:
    """Adds past sounds to spectra, as energies rather than as logarithms.

    Args:
        x: `(batch, frames, bands)`, logarithms.
        past: The same.
        shares: `(batch,)`, the share of the past sound.
    """
    shares = shares[:, None, None]
    return tf.math.log((1.0 - shares) * tf.exp(x) + shares * tf.exp(past))


def resized_crop(x: tf.Tensor, draws: tf.Tensor) -> tf.Tensor:
    """Takes a crop of a random place, length and height of each spectrum, and resizes it to the spectrum's size.

    The spectrum lies in the middle of a longer canvas of zeros, so that a crop may reach beyond its ends.

    Args:
        x: `(batch, frames, bands)`.
        draws: `(batch, 4)` in [0, 1): for the frames and bands of the crop, and for its first frame and band.
    """
    frames, bands = x.shape[1:]
    canvas = int(CANVAS * frames)
    before = (canvas - frames) // 2
    x = tf.pad(x, [[0, 0], [before, canvas - frames - before], [0, 0]])
    limits = tf.constant([canvas, bands], tf.float32)
    low, high = SCALES
    sizes = tf.floor((low + (high - low) * draws[:, :2]) * tf.constant([frames, bands], tf.float32))
    sizes = tf.clip_by_value(sizes, 1.0, limits)  # (batch, 2): frames and bands of each crop
    starts = tf.floor(draws[:, 2:] * (limits - sizes + 1.0))
    # The corners' centers, as shares of the distance between the centers of the outermost frames and bands. A corner at
    # the very end could be rounded to beyond it, where TensorFlow would see zeros.
    boxes = tf.minimum(tf.concat([starts, starts + sizes - 1.0], axis=1) / tf.tile(limits - 1.0, [2]), 1.0 - 1e-6)
    cropped = tf.image.crop_and_resize(x[..., None], boxes, tf.range(x.shape[0]), (frames, bands))
    return cropped[..., 0]
