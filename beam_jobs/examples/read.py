"""Examples back from their files."""

from typing import TYPE_CHECKING

from etils import epath

from beam_jobs.examples import samples as stored
from beam_jobs.examples.info import read_info

if TYPE_CHECKING:
    import tensorflow as tf


def parse(serialized: "tf.Tensor", *, storage: str = "pcm") -> "dict[str, tf.Tensor]":
    """Parses one serialized Example, inside or outside a graph.

    Args:
        serialized: string ().
        storage: That of the folder, see `ExamplesInfo`.

    Returns:
        `audio` int16 (samples,), `clip_id` string (), `labels` int64 (k,) class indices, `fold` int64 () with 0 for
        none, `start_s` float32 () where the clip begins in its recording, `source` string () the file it came from,
        `source_codec` string () and `source_rate` int64 () of that file, empty and 0 if unknown.
    """
    import tensorflow as tf

    features = tf.io.parse_single_example(
        serialized,
        {
            "audio": tf.io.FixedLenFeature((), tf.string),
            "clip_id": tf.io.FixedLenFeature((), tf.string),
            "labels": tf.io.RaggedFeature(tf.int64),
            "fold": tf.io.FixedLenFeature((), tf.int64, 0),
            "start_s": tf.io.FixedLenFeature((), tf.float32, 0.0),
            "source": tf.io.FixedLenFeature((), tf.string, ""),
            "source_codec": tf.io.FixedLenFeature((), tf.string, ""),
            "source_rate": tf.io.FixedLenFeature((), tf.int64, 0),
        },
    )
    return {**features, "audio": stored.decode(features["audio"], storage=storage)}


def dataset(
    directory: epath.PathLike, split: str, *, shuffle_files: bool = False, seed: int | None = None
) -> "tf.data.Dataset":
    """Streams the clips of one split once, as the dictionaries of `parse`.

    Args:
        directory: A folder of examples.
        split: "train", "valid" or "eval".
        shuffle_files: Draws a new order of the files each time, and reads several at once; without it the order
            is that of the files, always the same.
        seed: Makes the shuffled orders repeatable.

    Raises:
        KeyError: if there is no such split.
    """
    import tensorflow as tf

    info = read_info(directory)
    files = info.files(split)
    if shuffle_files:
        names = tf.data.Dataset.from_tensor_slices(files).shuffle(len(files), seed=seed, reshuffle_each_iteration=True)
        records = names.interleave(tf.data.TFRecordDataset, cycle_length=min(4, len(files)), block_length=8)
    else:
        records = tf.data.TFRecordDataset(files)
    clips = records.map(
        lambda record: parse(record, storage=info.storage), num_parallel_calls=tf.data.AUTOTUNE, deterministic=True
    )
    return clips.prefetch(tf.data.AUTOTUNE)


def read_file(path: str, *, storage: str = "pcm") -> "tf.data.Dataset":
    """Streams the clips of one TFRecord file, as the dictionaries of `parse`."""
    import tensorflow as tf

    return tf.data.TFRecordDataset(path).map(lambda record: parse(record, storage=storage)).prefetch(1)
