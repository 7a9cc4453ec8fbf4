"""Clips to serialized Examples, and TFDS's metadata beside their files."""

import contextlib
import logging
import threading
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np
from etils import epath

from beam_jobs.examples import samples as stored
from beam_jobs.examples.info import SPLITS

if TYPE_CHECKING:
    import tensorflow_datasets as tfds

_TEMPLATE = "{DATASET}-{SPLIT}.{FILEFORMAT}-{SHARD_X_OF_Y}"


def encode(
    *,
    audio: np.ndarray,
    clip_id: str,
    labels: Sequence[int] = (),
    fold: int = 0,
    start_s: float = 0.0,
    source: str = "",
    source_codec: str = "",
    source_rate: int = 0,
    storage: str = "pcm",
    sample_rate: int = 16000,
) -> bytes:
    """Serializes one clip, the same bytes for the same clip (FLAC: for the same libsndfile, too).

    Args:
        audio: int16 (samples,).
        clip_id: Unique name of the clip.
        labels: Class indices, in any order.
        fold: Official cross-validation fold from 1; 0 for none.
        start_s: Where the clip begins in its recording, in seconds.
        source: The file it came from, relative to the corpus.
        source_codec: How that was encoded, e.g. "wav/pcm_16"; "" for unknown.
        source_rate: Its sample rate in Hz; 0 for unknown.
        storage: "pcm", or "flac" for half to three quarters of the size and slower reading; both are lossless.
        sample_rate: In Hz, for the header of FLAC.

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
        "audio": text(stored.encode(audio, storage=storage, sample_rate=sample_rate)),
        "clip_id": text(clip_id.encode()),
        "labels": integers(sorted(labels)),
        "fold": integers([fold]),
        "start_s": tf.train.Feature(float_list=tf.train.FloatList(value=[start_s])),
        "source": text(source.encode()),
        "source_codec": text(source_codec.encode()),
        "source_rate": integers([source_rate]),
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
    storage: str = "pcm",
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
        storage: That of all its clips; with "flac", TFDS decodes lazily, by tensorflow-io.
    """
    with quiet_tfds():
        import tensorflow_datasets as tfds

        features = {
            "audio": _audio_feature(sample_rate, storage=storage),
            "clip_id": tfds.features.Text(doc="Unique name of the clip."),
            "labels": tfds.features.Sequence(
                tfds.features.ClassLabel(names=list(label_names)) if label_names else tfds.features.Scalar(np.int64),
                doc="Indices of the clip's classes, ascending; empty for unlabelled audio.",
            ),
            "start_s": tfds.features.Scalar(np.float32, doc="Where the clip begins in its recording, in seconds."),
            "source": tfds.features.Text(doc="The file it came from, relative to the corpus."),
            "source_codec": tfds.features.Text(doc="How that was encoded, e.g. wav/pcm_16."),
            "source_rate": tfds.features.Scalar(np.int64, doc="Its sample rate in Hz."),
        }
        if has_folds:
            features["fold"] = tfds.features.Scalar(np.int64, doc="Official cross-validation fold, from 1.")
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


def _audio_feature(sample_rate: int, *, storage: str) -> "tfds.features.Audio":
    import tensorflow_datasets as tfds

    doc = f"Mono 16-bit samples at {sample_rate} Hz, stored as {storage.upper()}."
    lazily = {"file_format": "flac", "lazy_decode": True} if storage == "flac" else {"encoding": "bytes"}
    return tfds.features.Audio(shape=(None,), dtype=np.int16, sample_rate=sample_rate, doc=doc, **lazily)


_thread = threading.local()


@contextlib.contextmanager
def quiet_tfds() -> Iterator[None]:
    """Silences TFDS, which warns of its own deprecated attributes for every Audio feature; nobody can act on that.

    In this thread only: absl's verbosity belongs to the whole process, and workers that share it would restore each
    other's.
    """
    from absl import logging as absl_logging

    absl_logging.get_absl_logger().addFilter(_lets_through)  # the same filter again changes nothing
    before = getattr(_thread, "is_quiet", False)
    _thread.is_quiet = True
    try:
        yield
    finally:
        _thread.is_quiet = before


def _lets_through(record: logging.LogRecord) -> bool:
    return record.levelno >= logging.ERROR or not getattr(_thread, "is_quiet", False)
