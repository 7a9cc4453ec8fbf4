"""Random crops of stored clips."""

import functools

import numpy as np
import tensorflow as tf
from absl import logging

from beam_jobs.examples import samples


def crop_pairs(
    record: tf.Tensor,
    *,
    pairs: int,
    crop_samples: int,
    seed: tf.Tensor,
    short_clips: str,
    storage: str,
    flac_decoder: str = "soundfile",
) -> dict[str, tf.Tensor]:
    """Returns pairs of random crops of one stored clip.

    Args:
        record: A serialized Example, string ().
        pairs: Number of pairs.
        crop_samples: Length of a crop.
        seed: int64 `(2,)`. The same seed gives the same crops.
        short_clips: See `random_crop`.
        storage: How the samples are stored, "pcm" or "flac".
        flac_decoder: See `beam_jobs.examples.samples`. Both give the same crops.

    Returns:
        `a` and `b`, int16 `(pairs, crop_samples)`, and `clip_id`, string `(pairs,)`.
    """
    string = tf.io.FixedLenFeature((), tf.string)
    clip = tf.io.parse_single_example(record, {"audio": string, "clip_id": string})
    clip_samples = samples.length(clip["audio"], storage=storage)
    seeds_of_pairs = [tf.stack([seed[0] * pairs + number, seed[1]]) for number in range(pairs)]
    # Of the first crops, then of the second ones.
    seeds = [2 * seed for seed in seeds_of_pairs] + [2 * seed + 1 for seed in seeds_of_pairs]

    def crop_long_clip(seed: tf.Tensor) -> tf.Tensor:
        start = _random_start(clip_samples - crop_samples + 1, seed=seed)
        return samples.decode_part(clip["audio"], start=start, samples=crop_samples, storage=storage)

    def crops_of_long_clip() -> tf.Tensor:
        return tf.stack([crop_long_clip(seed) for seed in seeds])  # Only the crops are decoded.

    def crops_of_whole_clip() -> tf.Tensor:
        audio = samples.decode(clip["audio"], storage=storage, flac_decoder=flac_decoder)
        crop = functools.partial(random_crop, audio, crop_samples=crop_samples, short_clips=short_clips)
        return tf.stack([crop(seed=seed) for seed in seeds])

    if storage == "flac" and flac_decoder == "tensorflow_io":
        crops = crops_of_whole_clip()  # It cannot decode a part.
    else:
        crops = tf.cond(clip_samples < crop_samples, crops_of_whole_clip, crops_of_long_clip)
    return {"a": crops[:pairs], "b": crops[pairs:], "clip_id": tf.repeat(clip["clip_id"], pairs)}


def random_crop(audio: tf.Tensor, *, crop_samples: int, seed: tf.Tensor, short_clips: str = "tile") -> tf.Tensor:
    """Returns a random crop of one clip.

    Args:
        audio: int16 `(samples,)`, at least one sample.
        crop_samples: Length of the crop.
        seed: int64 `(2,)`. The same seed gives the same crop.
        short_clips: "tile": a shorter clip is repeated, from a random sample on. "pad": silence is added at its end.

    Returns:
        int16 `(crop_samples,)`.
    """
    clip_samples = tf.size(audio)
    if short_clips == "pad":
        audio = tf.pad(audio, [[0, tf.maximum(crop_samples - clip_samples, 0)]])
        starts = tf.maximum(clip_samples - crop_samples, 0) + 1
    else:
        is_short = clip_samples < crop_samples
        starts = tf.where(is_short, clip_samples, clip_samples - crop_samples + 1)
        audio = tf.cond(is_short, lambda: tf.tile(audio, [crop_samples // clip_samples + 2]), lambda: audio)
    start = _random_start(starts, seed=seed)
    return tf.ensure_shape(audio[start : start + crop_samples], (crop_samples,))


def _random_start(starts: tf.Tensor, *, seed: tf.Tensor) -> tf.Tensor:
    """Draws one of the numbers below `starts`, int32 ()."""
    return tf.random.stateless_uniform((), seed, maxval=starts, dtype=tf.int32)


def warn_of_equal_pairs(a: np.ndarray, b: np.ndarray, *, crop_seconds: float) -> None:
    """Warns if the two crops of most clips are the same sound.

    Those of a clip that is exactly as long as a crop are, and with "pad" those of a shorter clip.

    Args:
        a: One crop of each clip, int16 `(clips, crop_samples)`.
        b: The other one.
        crop_seconds: `trainer.model.crop_seconds`.
    """
    equal = int((a == b).all(axis=1).sum())
    if 2 * equal > len(a):
        logging.warning(
            "the two crops of a clip are the same sound in %d of %d valid clips, so the model cannot learn what "
            "different sounds of a clip share: make trainer.model.crop_seconds=%g shorter than the clips",
            equal,
            len(a),
            crop_seconds,
        )
