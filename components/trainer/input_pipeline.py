"""Reads TFRecords into batches of crop pairs: int16 all the way to the accelerator, with static shapes.

All random numbers derive from the seed, the epoch and the place of a clip in the epoch, and so does the order of the
clips (`clip_order`). A resumed run therefore continues with exactly the batches that the uninterrupted run would have
had, without reading what it skips.
"""

import dataclasses
import functools
from collections.abc import Callable, Mapping

import tensorflow as tf
from etils import epath

from beam_jobs import examples
from beam_jobs.remote_file import is_remote
from components.trainer import checks, crops
from components.trainer.clip_order import ClipOrder, HostShare
from components.trainer.stored_clips import StoredClips

Batch = Mapping[str, tf.Tensor]
"""`a` and `b`: int16 `(pairs, crop_samples)`, random crops of the same clips for branch A and branch B; `clip_id`:
string `(pairs,)`. The pairs of a clip are next to each other."""

_READS_AT_A_TIME = 16
_REMOTE_READS_AT_A_TIME = 64  # Each one is a request, which takes tens of milliseconds.


@dataclasses.dataclass(frozen=True, kw_only=True)
class InputOptions:
    """How clips become batches.

    Attributes:
        batch_size: Pairs of crops in a global batch, at most as many as all clips of the split give.
        pairs_per_clip: Pairs of each clip in a batch; a divisor of the pairs in an element of the dataset.
        crop_samples: Length of a crop.
        seed: Seed of the order of the clips and of the crops.
        clips_per_read: Neighboring clips that are read at a time, see `clip_order`.
        short_clips: What to do with clips that are shorter than a crop: "tile" or "pad", see `crops.random_crop`.
    """

    batch_size: int
    crop_samples: int
    seed: int
    clips_per_read: int = 1
    short_clips: str = "tile"
    pairs_per_clip: int = 1


def reads_at_a_time(directory: epath.Path) -> int:
    """Returns how many places a host reads from at the same time."""
    return _REMOTE_READS_AT_A_TIME if is_remote(directory) else _READS_AT_A_TIME


@tf.autograph.experimental.do_not_convert  # Its functions need no AutoGraph, which takes seconds.
def training_batches(
    directory: epath.Path,
    options: InputOptions,
    *,
    start_step: int = 0,
    micro_batch: int | None = None,
    with_ids: bool = True,
    flac_decoder: str = "soundfile",
    context: tf.distribute.InputContext | None = None,
    times: int = 1,
) -> tf.data.Dataset:
    """Returns endless batches of the train split.

    Each epoch visits the clips in a new order and drops its last, incomplete batch. Two epochs never share a batch, so
    a clip is never its own negative.

    With several hosts, each contributes an equal part of every global batch. See `clip_order` for the order.

    Args:
        directory: A folder of examples.
        options: How clips become batches.
        start_step: Number of global batches to skip.
        micro_batch: Pairs in an element of the dataset, a divisor of the batch per replica. If None, an element is the
            batch per replica.
        with_ids: Whether batches contain `clip_id`. A TPU accepts no strings.
        flac_decoder: "soundfile", or "tensorflow_io" if the dataset is iterated in another process; see
            `beam_jobs.examples.samples`. Both give the same batches.
        context: Identifies the host and the number of replicas, for `Strategy.distribute_datasets_from_function`. If
            None, there is one host with one replica.
        times: How many times the elements of a global batch follow each other, all of them before the first one comes
            again. They are read and decoded once, and stay in memory.

    Returns:
        A dataset of `Batch`es. With several replicas per host, consecutive elements belong to consecutive replicas.

    Raises:
        UserError: The split has fewer clips than a batch.
        DamagedExamplesError: See `record_sizes.read`.
    """
    context = context or tf.distribute.InputContext()
    info = examples.read_info(directory)
    share = _host_share(info, context, options)
    first_epoch, first_step = divmod(start_step, share.steps_per_epoch)
    pairs_per_element = micro_batch or context.get_per_replica_batch_size(options.batch_size)
    seed = tf.cast(options.seed, tf.int64)
    crop_pairs = _crop_pairs_function(info, options, flac_decoder=flac_decoder)
    clips = StoredClips(info, "train")
    order = ClipOrder(
        clips,
        share,
        seed=seed,
        clips_per_read=options.clips_per_read,
        reads_at_a_time=reads_at_a_time(directory),
    )

    def clip_seed(epoch: tf.Tensor, index: tf.Tensor) -> tf.Tensor:
        return tf.stack([epoch * clips.count + share.place(index), seed])  # int64 (2,)

    def read_epoch(epoch: tf.Tensor) -> tf.data.Dataset:
        """Records in the order of the epoch, from the first one that is not skipped -> their pairs -> batches."""
        first = tf.where(epoch == first_epoch, tf.constant(first_step, tf.int64), 0) * share.clips_per_step
        records = order.records(epoch, first=first).enumerate(first)  # (index int64 (), string ()), one for each clip
        pairs = records.map(  # a, b: int16 (pairs_per_clip, crop_samples); clip_id: string (pairs_per_clip,)
            lambda index, record: crop_pairs(record, seed=clip_seed(epoch, index)),
            num_parallel_calls=tf.data.AUTOTUNE,
            deterministic=True,
        )
        clips_per_element = pairs_per_element // options.pairs_per_clip
        batches = pairs.batch(clips_per_element if times == 1 else share.clips_per_step, drop_remainder=True)
        return batches.map(_one_row_a_pair)

    batches = tf.data.Dataset.range(first_epoch, tf.int64.max).flat_map(read_epoch)
    if not with_ids:
        batches = batches.map(_without_ids)
    if times > 1:
        divide = functools.partial(_divide, pairs=pairs_per_element)
        batches = batches.prefetch(1).flat_map(lambda batch: divide(batch).repeat(times))
    return batches.prefetch(tf.data.AUTOTUNE)


def _one_row_a_pair(batch: Batch) -> Batch:
    """Turns values of shape (clips, pairs_per_clip, ...) into (clips * pairs_per_clip, ...)."""
    return {name: tf.reshape(value, (-1, *value.shape[2:])) for name, value in batch.items()}


def _divide(batch: Batch, *, pairs: int) -> tf.data.Dataset:
    """Returns the parts of a batch, with a number of pairs each."""
    return tf.data.Dataset.from_tensor_slices(
        {name: tf.reshape(value, (-1, pairs, *value.shape[1:])) for name, value in batch.items()}
    )


@tf.autograph.experimental.do_not_convert  # Its functions need no AutoGraph, which takes seconds.
def validation_batch(directory: epath.Path, options: InputOptions, *, max_clips: int) -> Batch | None:
    """Returns one batch of the valid split, always the same pair of crops of each of the same clips.

    Args:
        directory: A folder of examples.
        options: How clips become batches.
        max_clips: Maximum number of clips, if `options.batch_size` is larger. A clip gives one pair.

    Returns:
        The batch, or None if the valid split has fewer than two clips.
    """
    info = examples.read_info(directory)
    clips = min(info.splits.get("valid", 0), options.batch_size, max_clips)
    if clips < 2:
        return None

    seed = tf.cast(options.seed, tf.int64)
    crop_pairs = _crop_pairs_function(info, dataclasses.replace(options, pairs_per_clip=1))

    shards = tf.data.Dataset.from_tensor_slices((info.files("valid"), list(info.shard_lengths["valid"])))
    records = shards.flat_map(examples.read_records).take(clips).enumerate()
    pairs = records.map(lambda place, record: crop_pairs(record, seed=tf.stack([place, seed])))
    return _one_row_a_pair(next(iter(pairs.batch(clips))))


def _host_share(info: examples.ExamplesInfo, context: tf.distribute.InputContext, options: InputOptions) -> HostShare:
    """Divides an epoch among the hosts.

    Raises:
        UserError: The split has fewer clips than a batch.
    """
    hosts, clips = context.num_input_pipelines, info.splits["train"]
    checks.check_enough_clips(clips, batch_size=options.batch_size, pairs_per_clip=options.pairs_per_clip)
    clips_per_step = options.batch_size // (options.pairs_per_clip * hosts)
    return HostShare(
        hosts=hosts,
        host=context.input_pipeline_id,
        clips_per_step=clips_per_step,
        steps_per_epoch=clips // (clips_per_step * hosts),
    )


def _crop_pairs_function(
    info: examples.ExamplesInfo, options: InputOptions, *, flac_decoder: str = "soundfile"
) -> Callable[..., Batch]:
    """Returns `crops.crop_pairs` for these examples and options."""
    return functools.partial(
        crops.crop_pairs,
        pairs=options.pairs_per_clip,
        crop_samples=options.crop_samples,
        short_clips=options.short_clips,
        storage=info.storage,
        flac_decoder=flac_decoder,
    )


def _without_ids(batch: Batch) -> Batch:
    return {"a": batch["a"], "b": batch["b"]}
