"""Reads examples from their files."""

import tensorflow as tf
from etils import epath

from beam_jobs.examples import samples
from beam_jobs.examples.info import read_info

_FILES_AT_ONCE = 4
_CLIPS_PER_TURN = 8

# In bytes. A request to a bucket takes as long as reading some megabytes. `diptych` makes TensorFlow's own buffer for
# a file in a bucket small, see `pipeline.tensorflow_settings`.
_LOCAL_BUFFER = 2**18
_REMOTE_BUFFER = 2**24

_FEATURES = {
    "audio": tf.io.FixedLenFeature((), tf.string),
    "clip_id": tf.io.FixedLenFeature((), tf.string),
    "labels": tf.io.RaggedFeature(tf.int64),
    "fold": tf.io.FixedLenFeature((), tf.int64, 0),
    "start_s": tf.io.FixedLenFeature((), tf.float32, 0.0),
    "source": tf.io.FixedLenFeature((), tf.string, ""),
    "source_codec": tf.io.FixedLenFeature((), tf.string, ""),
    "source_rate": tf.io.FixedLenFeature((), tf.int64, 0),
}


def parse(serialized: tf.Tensor, *, storage: str = "pcm") -> dict[str, tf.Tensor]:
    """Parses one serialized Example, inside or outside a graph.

    Args:
        serialized: string ().
        storage: How the folder stores samples; see `ExamplesInfo`.

    Returns:
        audio: int16 (samples,).
        clip_id: string ().
        labels: int64 (labels,), class indices.
        fold: int64 (), 0 for none.
        start_s: float32 (), where the clip begins in its recording, in seconds.
        source: string (), the file that the clip comes from.
        source_codec: string (), codec of that file; empty if unknown.
        source_rate: int64 (), sample rate of that file in Hz; 0 if unknown.
    """
    features = tf.io.parse_single_example(serialized, _FEATURES)
    return {**features, "audio": samples.decode(features["audio"], storage=storage)}


def parse_labels(serialized: tf.Tensor) -> dict[str, tf.Tensor]:
    """Parses `labels` and `fold` of one serialized Example, as `parse` does, without decoding its audio."""
    return tf.io.parse_single_example(serialized, {name: _FEATURES[name] for name in ("labels", "fold")})


def tfrecords(path: tf.Tensor | str) -> tf.data.Dataset:
    """Streams the records of one TFRecord file, string (), however many it holds."""
    is_remote = tf.strings.regex_full_match(path, ".+://.*")
    buffer_size = tf.where(is_remote, tf.constant(_REMOTE_BUFFER, tf.int64), _LOCAL_BUFFER)
    return tf.data.TFRecordDataset(path, buffer_size=buffer_size)


def read_records(path: tf.Tensor | str, clips: tf.Tensor | int) -> tf.data.Dataset:
    """Streams the serialized clips of one TFRecord file, string ().

    Reading fails if the file does not hold exactly `clips` of them: TensorFlow reads an empty file, or one that was cut
    off between two records, without an error.
    """
    return tfrecords(path).apply(tf.data.experimental.assert_cardinality(tf.cast(clips, tf.int64)))


def read_some(path: tf.Tensor, *, offset: tf.Tensor, clips: tf.Tensor, are_last: tf.Tensor) -> tf.data.Dataset:
    """Streams some serialized clips of a TFRecord file, string (), without reading the ones before them.

    Call it in a function that `tf.data.Dataset` maps or interleaves: outside of one, TensorFlow 2.17 leaves out the
    offset. Reading fails if there are fewer clips, or if another one follows the last one.

    Args:
        path: The file, string ().
        offset: Where the first record begins, in bytes, int64 ().
        clips: Number of clips, int64 ().
        are_last: Whether the last one is that of the file, bool ().
    """
    records = tf.data.experimental.from_variant(
        tf.raw_ops.TFRecordDatasetV2(
            filenames=tf.expand_dims(path, 0),
            compression_type="",
            buffer_size=0,  # Reads no more than the records.
            byte_offsets=tf.expand_dims(offset, 0),
        ),
        tf.TensorSpec((), tf.string),
    )
    records = records.take(tf.where(are_last, tf.constant(-1, tf.int64), clips))
    return records.apply(tf.data.experimental.assert_cardinality(clips))


@tf.autograph.experimental.do_not_convert  # Its functions need no AutoGraph, which takes seconds.
def dataset(
    directory: epath.PathLike, split: str, *, shuffle_files: bool = False, seed: int | None = None
) -> tf.data.Dataset:
    """Streams the clips of one split once, as the dictionaries of `parse`.

    Args:
        directory: A folder of examples.
        split: "train", "valid" or "eval".
        shuffle_files: Whether to read several files at a time, in a new order in each iteration. By default the files
            are read one by one in their order.
        seed: Makes the shuffled orders repeatable.

    Raises:
        KeyError: if the folder has no such split.
    """
    info = read_info(directory)
    shards = tf.data.Dataset.from_tensor_slices((info.files(split), list(info.shard_lengths[split])))
    if shuffle_files:
        shards = shards.shuffle(len(info.files(split)), seed=seed, reshuffle_each_iteration=True)
        records = shards.interleave(
            read_records,
            cycle_length=min(_FILES_AT_ONCE, len(info.files(split))),
            block_length=_CLIPS_PER_TURN,
        )
    else:
        records = shards.flat_map(read_records)
    clips = records.map(
        lambda record: parse(record, storage=info.storage), num_parallel_calls=tf.data.AUTOTUNE, deterministic=True
    )
    return clips.prefetch(tf.data.AUTOTUNE)


@tf.autograph.experimental.do_not_convert  # Its functions need no AutoGraph, which takes seconds.
def read_file(path: str, *, storage: str = "pcm", clips: int | None = None) -> tf.data.Dataset:
    """Streams the clips of one TFRecord file, as the dictionaries of `parse`.

    Args:
        path: The file.
        storage: How it stores samples; see `ExamplesInfo`.
        clips: How many clips it holds, see `read_records`; None does not check their number.
    """
    records = tfrecords(path) if clips is None else read_records(path, clips)
    return records.map(lambda record: parse(record, storage=storage)).prefetch(1)
