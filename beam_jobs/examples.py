"""The stored form of a corpus: TFRecords of `tf.train.Example` in a folder that TFDS opens.

    audio-train.tfrecord-00000-of-00008 ...   one Example a clip, audio as int16 PCM bytes
    dataset_info.json, features.json          written by TFDS: `tfds.builder_from_directory(folder)` opens them
    labels.labels.txt                         class names, one a line, in index order (absent without labels)

Reading needs neither TFDS nor Beam, and `read_info` not even TensorFlow.
"""

import contextlib
import dataclasses
import json
import os
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np
from etils import epath

if TYPE_CHECKING:
    import tensorflow as tf

SPLITS = ("train", "valid", "eval")
_TEMPLATE = "{DATASET}-{SPLIT}.{FILEFORMAT}-{SHARD_X_OF_Y}"


@dataclasses.dataclass(frozen=True, kw_only=True)
class ExamplesInfo:
    """What a folder of examples holds.

    Attributes:
        directory: The folder.
        splits: Split name -> number of clips; a split without a clip is absent.
        shards: Split name -> number of files.
        label_names: Class names in index order; empty for unlabelled audio.
        sample_rate: Of every clip, in Hz.
        has_folds: Whether the clips carry official cross-validation folds (ESC-50), numbered from 1.
    """

    directory: epath.Path
    splits: Mapping[str, int]
    shards: Mapping[str, int]
    label_names: tuple[str, ...]
    sample_rate: int
    has_folds: bool

    def files(self, split: str) -> list[str]:
        """Paths of the split's TFRecord files, in order.

        Raises:
            KeyError: if there is no such split.
        """
        if split not in self.shards:
            raise KeyError(f"{self.directory} has no split '{split}', only {', '.join(self.shards) or 'none'}")
        count = self.shards[split]
        return [os.fspath(self.directory / file_name(split, shard=i, shards=count)) for i in range(count)]


def file_name(split: str, *, shard: int, shards: int) -> str:
    """Name of one TFRecord file, e.g. `audio-train.tfrecord-00000-of-00008`."""
    return f"audio-{split}.tfrecord-{shard:05d}-of-{shards:05d}"


def read_info(directory: epath.PathLike) -> ExamplesInfo:
    """Reads what a folder of examples holds, from its JSON alone.

    Raises:
        FileNotFoundError: if the folder holds no examples.
    """
    folder = epath.Path(directory)
    info = json.loads((folder / "dataset_info.json").read_text())
    features = json.loads((folder / "features.json").read_text())["featuresDict"]["features"]
    lengths = {split["name"]: [int(n) for n in split["shardLengths"]] for split in info["splits"]}
    names = folder / "labels.labels.txt"
    return ExamplesInfo(
        directory=folder,
        splits={split: sum(lengths[split]) for split in SPLITS if split in lengths},
        shards={split: len(lengths[split]) for split in SPLITS if split in lengths},
        label_names=tuple(names.read_text().splitlines()) if names.exists() else (),
        sample_rate=int(features["audio"]["audio"]["sampleRate"]),
        has_folds="fold" in features,
    )


def parse(serialized: "tf.Tensor") -> "dict[str, tf.Tensor]":
    """Parses one serialized Example, inside or outside a graph.

    Returns:
        `audio` int16 (samples,), `clip_id` string (), `labels` int64 (k,) class indices, `fold` int64 () with 0 for
        none, `start_s` float32 () where the clip begins in its recording, `source` string () the file it came from.
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
        },
    )
    return {**features, "audio": tf.io.decode_raw(features["audio"], tf.int16)}


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

    files = read_info(directory).files(split)
    if shuffle_files:
        names = tf.data.Dataset.from_tensor_slices(files).shuffle(len(files), seed=seed, reshuffle_each_iteration=True)
        records = names.interleave(tf.data.TFRecordDataset, cycle_length=min(4, len(files)), block_length=8)
    else:
        records = tf.data.TFRecordDataset(files)
    return records.map(parse, num_parallel_calls=tf.data.AUTOTUNE, deterministic=True).prefetch(tf.data.AUTOTUNE)


def read_file(path: str) -> "tf.data.Dataset":
    """Streams the clips of one TFRecord file, as the dictionaries of `parse`."""
    import tensorflow as tf

    return tf.data.TFRecordDataset(path).map(parse).prefetch(1)


def encode(
    *,
    audio: np.ndarray,
    clip_id: str,
    labels: Sequence[int] = (),
    fold: int = 0,
    start_s: float = 0.0,
    source: str = "",
) -> bytes:
    """Serializes one clip, the same bytes for the same clip.

    Args:
        audio: int16 (samples,).
        clip_id: Unique name of the clip.
        labels: Class indices, in any order.
        fold: Official cross-validation fold from 1; 0 for none.
        start_s: Where the clip begins in its recording, in seconds.
        source: The file it came from, relative to the corpus.

    Raises:
        ValueError: if `audio` is not int16 (samples,).
    """
    import tensorflow as tf

    if audio.dtype != np.int16 or audio.ndim != 1:
        raise ValueError(f"audio must be int16 (samples,), not {audio.dtype} {audio.shape}")

    def text(value: bytes) -> tf.train.Feature:
        return tf.train.Feature(bytes_list=tf.train.BytesList(value=[value]))

    def integers(values: Sequence[int]) -> tf.train.Feature:
        return tf.train.Feature(int64_list=tf.train.Int64List(value=values))

    feature = {
        "audio": text(audio.astype("<i2", copy=False).tobytes()),
        "clip_id": text(clip_id.encode()),
        "labels": integers(sorted(labels)),
        "fold": integers([fold]),
        "start_s": tf.train.Feature(float_list=tf.train.FloatList(value=[start_s])),
        "source": text(source.encode()),
    }
    example = tf.train.Example(features=tf.train.Features(feature=feature))
    return example.SerializeToString(deterministic=True)


def write_metadata(
    directory: epath.PathLike,
    *,
    shard_lengths: Mapping[str, Sequence[int]],
    shard_bytes: Mapping[str, int],
    label_names: Sequence[str],
    sample_rate: int,
    has_folds: bool,
    description: str,
) -> None:
    """Writes the TFDS metadata beside finished TFRecord files.

    Args:
        directory: The folder of the files.
        shard_lengths: Split -> clips in each file.
        shard_bytes: Split -> size of its files together.
        label_names: Class names in index order; may be empty.
        sample_rate: In Hz.
        has_folds: Whether the clips carry cross-validation folds.
        description: One line about the corpus.
    """
    with _quiet():
        import tensorflow_datasets as tfds

        features = {
            "audio": tfds.features.Audio(shape=(None,), dtype=np.int16, sample_rate=sample_rate, encoding="bytes"),
            "clip_id": tfds.features.Text(),
            "labels": tfds.features.Sequence(
                tfds.features.ClassLabel(names=list(label_names)) if label_names else tfds.features.Scalar(np.int64)
            ),
            "start_s": tfds.features.Scalar(np.float32),
            "source": tfds.features.Text(),
        }
        if has_folds:
            features["fold"] = tfds.features.Scalar(np.int64)
        template = tfds.core.ShardedFileTemplate(
            data_dir=epath.Path(directory), dataset_name="audio", filetype_suffix="tfrecord", template=_TEMPLATE
        )
        splits = [
            tfds.core.SplitInfo(
                name=split,
                shard_lengths=list(shard_lengths[split]),
                num_bytes=shard_bytes[split],
                filename_template=template,
            )
            for split in SPLITS
            if split in shard_lengths
        ]
        tfds.folder_dataset.write_metadata(
            data_dir=directory,
            features=tfds.features.FeaturesDict(features),
            split_infos=splits,
            filename_template=_TEMPLATE,
            description=description,
        )


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """TFDS warns about its own deprecated attributes while it describes an Audio feature; nobody can act on that."""
    from absl import logging

    verbosity = logging.get_verbosity()
    logging.set_verbosity(logging.ERROR)
    try:
        yield
    finally:
        logging.set_verbosity(verbosity)
