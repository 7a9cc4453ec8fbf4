"""Writes small sets of stored examples for the tests of stages that read them."""

import numpy as np
import tensorflow as tf
from etils import epath

from beam_jobs import examples
from beam_jobs.examples import record_sizes


def write_examples(folder, clips, *, label_names=(), has_folds=False, shards=1, **features):
    """Writes a set of stored examples.

    Args:
        folder: To be created.
        clips: Split -> list of (audio int16, labels, fold). The id of a clip is its split and its index.
        label_names: Names of the classes.
        has_folds: Whether the metadata mentions folds.
        shards: Number of files of each split.
        features: Other arguments of `examples.encode`, the same for all clips.

    Returns:
        The folder.
    """
    folder = epath.Path(folder)
    folder.mkdir(parents=True)
    for split, rows in clips.items():
        for shard in range(shards):
            with tf.io.TFRecordWriter(str(folder / examples.file_name(split, shard=shard, shards=shards))) as file:
                for index in range(shard, len(rows), shards):
                    audio, labels, fold = rows[index]
                    clip_id = f"{split}{index}"
                    file.write(examples.encode(audio=audio, clip_id=clip_id, labels=labels, fold=fold, **features))
    examples.write_metadata(
        folder,
        shard_lengths={split: [len(rows[shard::shards]) for shard in range(shards)] for split, rows in clips.items()},
        shard_bytes={split: sum(audio.nbytes for audio, _, _ in rows) for split, rows in clips.items()},
        label_names=label_names,
        sample_rate=16000,
        has_folds=has_folds,
        description="test",
        storage=features.get("storage", "pcm"),
    )
    write_sizes(folder)
    return folder


def write_sizes(folder):
    """Writes the sizes of the records, as AudioExampleGen does."""
    info = examples.read_info(folder)
    sizes = {
        split: [[len(record.numpy()) for record in tf.data.TFRecordDataset(file)] for file in info.files(split)]
        for split in info.splits
    }
    record_sizes.write(folder, sizes)


def sound(label, *, seconds=1.0, seed=0):
    """Generates a tone of random pitch for label 0 and noise for label 1, both at a random level, as int16."""
    rng = np.random.default_rng((seed, label))
    time = np.arange(round(16000 * seconds)) / 16000
    wave = rng.normal(size=time.size) / 4 if label else np.sin(2 * np.pi * rng.uniform(200, 3000) * time)
    return (wave * rng.uniform(2000, 7000)).astype(np.int16)
