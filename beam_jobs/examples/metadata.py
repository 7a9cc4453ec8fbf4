"""Writes TFDS's metadata beside finished TFRecord files."""

from collections.abc import Mapping, Sequence

import numpy as np
import tensorflow_datasets as tfds
from etils import epath

from beam_jobs.examples.info import SPLITS
from beam_jobs.examples.quiet import quiet_tfds

_TEMPLATE = "{DATASET}-{SPLIT}.{FILEFORMAT}-{SHARD_X_OF_Y}"


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
    """Writes the TFDS metadata of a folder of TFRecord files.

    Args:
        directory: The folder of the files.
        shard_lengths: Split -> number of clips in each file.
        shard_bytes: Split -> total size of its files.
        label_names: Class names in index order; may be empty.
        sample_rate: Sample rate of all clips, in Hz.
        has_folds: Whether the clips carry cross-validation folds.
        description: One line about the corpus.
        storage: How all clips are stored. With "flac", TFDS decodes lazily with tensorflow-io.
    """
    with quiet_tfds():
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
            features=_features(label_names=label_names, sample_rate=sample_rate, has_folds=has_folds, storage=storage),
            split_infos=splits,
            filename_template=_TEMPLATE,
            description=description,
        )


def _features(
    *, label_names: Sequence[str], sample_rate: int, has_folds: bool, storage: str
) -> tfds.features.FeaturesDict:
    label = tfds.features.ClassLabel(names=list(label_names)) if label_names else tfds.features.Scalar(np.int64)
    features = {
        "audio": _audio_feature(sample_rate, storage=storage),
        "clip_id": tfds.features.Text(doc="Unique name of the clip."),
        "labels": tfds.features.Sequence(
            label, doc="Indices of the clip's classes, ascending; empty for unlabelled audio."
        ),
        "start_s": tfds.features.Scalar(np.float32, doc="Where the clip begins in its recording, in seconds."),
        "source": tfds.features.Text(doc="The file it came from, relative to the corpus."),
        "source_codec": tfds.features.Text(doc="How that was encoded, e.g. wav/pcm_16."),
        "source_rate": tfds.features.Scalar(np.int64, doc="Its sample rate in Hz."),
    }
    if has_folds:
        features["fold"] = tfds.features.Scalar(np.int64, doc="Official cross-validation fold, from 1.")
    return tfds.features.FeaturesDict(features)


def _audio_feature(sample_rate: int, *, storage: str) -> tfds.features.Audio:
    doc = f"Mono 16-bit samples at {sample_rate} Hz, stored as {storage.upper()}."
    if storage == "flac":
        return tfds.features.Audio(
            shape=(None,), dtype=np.int16, sample_rate=sample_rate, file_format="flac", lazy_decode=True, doc=doc
        )
    return tfds.features.Audio(shape=(None,), dtype=np.int16, sample_rate=sample_rate, encoding="bytes", doc=doc)
