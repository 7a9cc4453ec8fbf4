"""Writes small sets of stored examples for the tests of stages that read them."""

import numpy as np
import tensorflow as tf
from etils import epath

from beam_jobs import examples


def write_examples(folder, clips, *, label_names=(), has_folds=False):
    """Writes `{split: [(audio int16, labels, fold), ...]}` as stored examples, one shard a split."""
    folder = epath.Path(folder)
    folder.mkdir(parents=True)
    for split, rows in clips.items():
        with tf.io.TFRecordWriter(str(folder / examples.file_name(split, shard=0, shards=1))) as file:
            for index, (audio, labels, fold) in enumerate(rows):
                file.write(examples.encode(audio=audio, clip_id=f"{split}{index}", labels=labels, fold=fold))
    examples.write_metadata(
        folder,
        shard_lengths={split: [len(rows)] for split, rows in clips.items()},
        shard_bytes={split: sum(audio.nbytes for audio, _, _ in rows) for split, rows in clips.items()},
        label_names=label_names,
        sample_rate=16000,
        has_folds=has_folds,
        description="test",
    )
    return folder


def sound(label, *, seconds=1.0, seed=0):
    """Label 0: a tone of random pitch. Label 1: noise. Both at a random level."""
    rng = np.random.default_rng((seed, label))
    time = np.arange(round(16000 * seconds)) / 16000
    wave = rng.normal(size=time.size) / 4 if label else np.sin(2 * np.pi * rng.uniform(200, 3000) * time)
    return (wave * rng.uniform(2000, 7000)).astype(np.int16)
