"""From TFRecords to batches of crop pairs: int16 all the way to the accelerator, static shapes.

Everything random derives from (seed, epoch, place in the epoch), so a resumed run goes on with the very batches the
uninterrupted one would have had.
"""

import functools
from collections.abc import Mapping

import tensorflow as tf
from etils import epath

from beam_jobs import examples
from beam_jobs.examples import samples as stored
from components.errors import UserError

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
    micro_batch: int | None = None,
    with_ids: bool = True,
    context: tf.distribute.InputContext | None = None,
) -> tf.data.Dataset:
    """Endless batches of the train split.

    Each pass visits the clips in a new order and drops its last, incomplete batch, so that no clip meets itself
    as a negative.

    With several hosts each gives an equal part of every global batch, from clips of its own: in each pass the files
    are dealt out anew, or, if there are fewer files than hosts, every host reads all and keeps each so-many-th clip.
    A pass is as long as the host with the fewest clips can make it, the same for all.

    Args:
        directory: An examples folder.
        batch_size: Clips in a global batch; no more than the split holds.
        crop_samples: Length of a view.
        seed: Of orders and crops.
        start_step: Global batches already consumed; the first one yielded is the one after them.
        shuffle_buffer: Clips among which a host draws the next one.
        short_clips: "tile" or "pad", see `crop`.
        micro_batch: Clips to yield at a time, a divisor of what is asked for with a `context`; None for all of that.
        with_ids: Whether to say which clips they are: a TPU takes no strings.
        context: Which host this is and how many replicas there are, for `Strategy.distribute_datasets_from_function`;
            None for whole batches.

    Returns:
        Dicts of `a` and `b`, int16 `(batch_size, crop_samples)`, and `clip_id`, string `(batch_size,)`; with a
        `context` a replica's share of them each, its replicas one after the other.

    Raises:
        UserError: if a host may have too few clips for its part of a batch.
    """
    context = context or tf.distribute.InputContext()
    hosts, host = context.num_input_pipelines, context.input_pipeline_id
    info = examples.read_info(directory)
    files, clips = info.files("train"), info.splits["train"]
    share = batch_size // hosts
    by_file = len(files) >= hosts
    fewest = sum(sorted(info.shard_lengths["train"])[: len(files) // hosts]) if by_file else clips // hosts
    steps_per_epoch = fewest // share
    if not steps_per_epoch:
        raise UserError(
            f"trainer.batch_size={batch_size} is {share} clips from each of {hosts} hosts, but one may have only "
            f"{fewest} in its files; lower it, or ingest into more files (audio_example_gen.shards)."
        )

    cut = functools.partial(_views, crop_samples=crop_samples, short_clips=short_clips, storage=info.storage)

    def epoch(number: tf.Tensor) -> tf.data.Dataset:
        order = tf.random.experimental.stateless_shuffle(files, seed=tf.stack([tf.cast(seed, tf.int64), number]))
        records = tf.data.Dataset.from_tensor_slices(order[host::hosts] if by_file else order).interleave(
            tf.data.TFRecordDataset,
            cycle_length=_FILES_AT_ONCE,
            block_length=1,
            num_parallel_calls=tf.data.AUTOTUNE,
            deterministic=True,
        )
        records = records if by_file else records.shard(hosts, host)
        records = records.shuffle(min(shuffle_buffer, clips), seed=number * 7919 + seed)
        skipped = tf.where(number == start_step // steps_per_epoch, start_step % steps_per_epoch, 0)
        # Skipped before anything is parsed: a resumed run only has to read past these.
        records = records.take(steps_per_epoch * share).enumerate().skip(tf.cast(skipped, tf.int64) * share)
        pairs = records.map(
            lambda place, record: cut(
                record, seed=tf.stack([number * clips + place * hosts + host, tf.cast(seed, tf.int64)])
            ),
            num_parallel_calls=tf.data.AUTOTUNE,
            deterministic=True,
        )
        return pairs.batch(micro_batch or context.get_per_replica_batch_size(batch_size), drop_remainder=True)

    epochs = tf.data.Dataset.range(start_step // steps_per_epoch, tf.int64.max)
    batches = epochs.flat_map(epoch)
    if not with_ids:
        batches = batches.map(lambda batch: {name: batch[name] for name in "ab"})
    return batches.prefetch(tf.data.AUTOTUNE)


def validation_batch(
    directory: epath.Path, *, batch_size: int, crop_samples: int, seed: int, short_clips: str = "tile"
) -> Batch | None:
    """One fixed batch of the valid split, as `training_batches` yields them; None if it holds fewer than two clips.

    Always the same clips and crops, so that its loss can be compared from one moment to another.
    """
    info = examples.read_info(directory)
    count = min(info.splits.get("valid", 0), batch_size)
    if count < 2:
        return None
    cut = functools.partial(_views, crop_samples=crop_samples, short_clips=short_clips, storage=info.storage)
    records = tf.data.TFRecordDataset(info.files("valid")).take(count).enumerate()
    pairs = records.map(lambda place, record: cut(record, seed=tf.stack([place, tf.cast(seed, tf.int64)])))
    return next(iter(pairs.batch(count)))


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


def _views(record: tf.Tensor, *, seed: tf.Tensor, crop_samples: int, short_clips: str, storage: str) -> Batch:
    """Two windows of one serialized clip."""
    scalar = tf.io.FixedLenFeature((), tf.string)
    clip = tf.io.parse_single_example(record, {"audio": scalar, "clip_id": scalar})
    length = stored.length(clip["audio"], storage=storage)

    def of_a_long_clip() -> list[tf.Tensor]:
        starts = [_start(length - crop_samples + 1, seed=seed * 2 + i) for i in range(2)]
        return [stored.decode_part(clip["audio"], start=s, samples=crop_samples, storage=storage) for s in starts]

    def of_a_short_clip() -> list[tf.Tensor]:
        audio = stored.decode(clip["audio"], storage=storage)
        return [crop(audio, samples=crop_samples, seed=seed * 2 + i, short_clips=short_clips) for i in range(2)]

    a, b = tf.cond(length < crop_samples, of_a_short_clip, of_a_long_clip)
    return {"a": a, "b": b, "clip_id": clip["clip_id"]}


def _start(count: tf.Tensor, *, seed: tf.Tensor) -> tf.Tensor:
    return tf.random.stateless_uniform((), seed, maxval=count, dtype=tf.int32)
