"""From TFRecords to batches of crop pairs: int16 all the way to the accelerator, static shapes.

Everything random derives from (seed, epoch, place in the epoch), so a resumed run goes on with the very batches the
uninterrupted one would have had.
"""

from collections.abc import Mapping

import tensorflow as tf
from etils import epath

from beam_jobs import examples

Batch = Mapping[str, tf.Tensor]
_FILES_AT_ONCE = 8


def training_batches(
    directory: epath.Path,
    *,
    batch_size: int,
    crop_samples: int,
    seed: int,
    start_step: int = 0,
    shuffle_buffer: int = 2048,
    short_clips: str = "tile",
) -> tf.data.Dataset:
    """Endless batches of the train split.

    Each pass visits the clips in a new order and drops its last, incomplete batch, so that no clip meets itself
    as a negative.

    Args:
        directory: An examples folder.
        batch_size: Clips in a batch; no more than the split holds.
        crop_samples: Length of a view.
        seed: Of orders and crops.
        start_step: Batches already consumed; the first one yielded is the one after them.
        shuffle_buffer: Clips among which the next one is drawn.
        short_clips: "tile" or "pad", see `crop`.

    Returns:
        Dicts of `a` and `b`, int16 `(batch_size, crop_samples)`, and `clip_id`, string `(batch_size,)`.
    """
    info = examples.read_info(directory)
    files, clips = info.files("train"), info.splits["train"]
    steps_per_epoch = clips // batch_size

    def epoch(number: tf.Tensor) -> tf.data.Dataset:
        order = tf.random.experimental.stateless_shuffle(files, seed=tf.stack([tf.cast(seed, tf.int64), number]))
        records = tf.data.Dataset.from_tensor_slices(order).interleave(
            tf.data.TFRecordDataset, cycle_length=_FILES_AT_ONCE, block_length=1
        )
        records = records.shuffle(min(shuffle_buffer, clips), seed=number * 7919 + seed)
        skipped = tf.where(number == start_step // steps_per_epoch, start_step % steps_per_epoch, 0)
        records = records.enumerate().skip(tf.cast(skipped, tf.int64) * batch_size)
        return records.map(
            lambda place, record: _views(
                examples.parse(record),
                seed=tf.stack([number * clips + place, tf.cast(seed, tf.int64)]),
                crop_samples=crop_samples,
                short_clips=short_clips,
            ),
            num_parallel_calls=tf.data.AUTOTUNE,
            deterministic=True,
        ).batch(batch_size, drop_remainder=True)

    epochs = tf.data.Dataset.range(start_step // steps_per_epoch, tf.int64.max)
    return epochs.flat_map(epoch).prefetch(tf.data.AUTOTUNE)


def validation_batch(
    directory: epath.Path, *, batch_size: int, crop_samples: int, seed: int, short_clips: str = "tile"
) -> Batch | None:
    """One fixed batch of the valid split, as `training_batches` yields them; None if it holds fewer than two clips.

    Always the same clips and crops, so that its loss can be compared from one moment to another.
    """
    count = min(examples.read_info(directory).splits.get("valid", 0), batch_size)
    if count < 2:
        return None
    clips = examples.dataset(directory, "valid").take(count).enumerate()
    views = clips.map(
        lambda place, clip: _views(
            clip, seed=tf.stack([place, tf.cast(seed, tf.int64)]), crop_samples=crop_samples, short_clips=short_clips
        )
    )
    return next(iter(views.batch(count)))


def crop(audio: tf.Tensor, *, samples: int, seed: tf.Tensor, short_clips: str = "tile") -> tf.Tensor:
    """A random window of one clip.

    Args:
        audio: int16 `(any,)`, at least one sample.
        samples: Length of the window.
        seed: int64 `(2,)`; the same seed gives the same window.
        short_clips: A shorter clip is repeated ("tile", from a random phase) or followed by silence ("pad").

    Returns:
        int16 `(samples,)`.
    """
    length = tf.size(audio)
    if short_clips == "pad":
        audio = tf.pad(audio, [[0, tf.maximum(samples - length, 0)]])
        last = tf.maximum(length - samples, 0)
        start = tf.random.stateless_uniform((), seed, maxval=last + 1, dtype=tf.int32)
        return tf.ensure_shape(audio[start : start + samples], (samples,))
    is_short = length < samples
    starts = tf.where(is_short, length, length - samples + 1)
    start = tf.random.stateless_uniform((), seed, maxval=starts, dtype=tf.int32)
    audio = tf.cond(is_short, lambda: tf.tile(audio, [samples // length + 2]), lambda: audio)
    return tf.ensure_shape(audio[start : start + samples], (samples,))


def _views(clip: Batch, *, seed: tf.Tensor, crop_samples: int, short_clips: str) -> Batch:
    views = {
        name: crop(clip["audio"], samples=crop_samples, seed=seed * 2 + i, short_clips=short_clips)
        for i, name in enumerate("ab")
    }
    return {**views, "clip_id": clip["clip_id"]}
