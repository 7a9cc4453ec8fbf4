"""Writes examples for the tests of the statistics."""

import tensorflow as tf

from beam_jobs import examples


def write(folder, splits, *, shards=2, **stored):
    """Writes `{split: [(audio int16, labels), ...]}` as stored examples, and returns their info.

    Args:
        folder: An existing folder.
        splits: The clips. A split without a clip gets files without examples.
        shards: Number of files of each split.
        stored: Further arguments of `examples.encode`.
    """
    for split, members in splits.items():
        for shard in range(shards):
            with tf.io.TFRecordWriter(str(folder / examples.file_name(split, shard=shard, shards=shards))) as writer:
                for i, (audio, labels) in enumerate(members[shard::shards]):
                    clip_id = f"{split}{shard + shards * i}"
                    writer.write(examples.encode(audio=audio, clip_id=clip_id, labels=labels, **stored))
    examples.write_metadata(
        folder,
        shard_lengths={split: [len(members[i::shards]) for i in range(shards)] for split, members in splits.items()},
        shard_bytes=dict.fromkeys(splits, 0),
        label_names=("a", "b", "c"),
        sample_rate=16000,
        has_folds=False,
        description="test",
        storage=stored.get("storage", "pcm"),
    )
    return examples.read_info(folder)
