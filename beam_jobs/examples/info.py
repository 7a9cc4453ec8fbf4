"""Describes a folder of examples from its JSON files alone."""

import dataclasses
import json
import os
from collections.abc import Mapping

from etils import epath

SPLITS = ("train", "valid", "eval")

STORAGES = ("pcm", "flac")
"""The ways to store samples. Both are lossless."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class ExamplesInfo:
    """What a folder of examples holds.

    Attributes:
        directory: The folder.
        splits: Split name -> number of clips. Empty splits are absent.
        shards: Split name -> number of files.
        shard_lengths: Split name -> number of clips in each file.
        label_names: Class names in index order; empty for unlabeled audio.
        sample_rate: Sample rate of every clip, in Hz.
        has_folds: Whether the clips carry official cross-validation folds (ESC-50), numbered from 1.
        storage: How the samples are stored, "pcm" or "flac".
    """

    directory: epath.Path
    splits: Mapping[str, int]
    shards: Mapping[str, int]
    shard_lengths: Mapping[str, tuple[int, ...]]
    label_names: tuple[str, ...]
    sample_rate: int
    has_folds: bool
    storage: str

    def files(self, split: str) -> list[str]:
        """Returns the paths of a split's TFRecord files, in order.

        Raises:
            KeyError: if the folder has no such split.
        """
        if split not in self.shards:
            raise KeyError(f"{self.directory} has no split '{split}', only {', '.join(self.shards) or 'none'}")
        count = self.shards[split]
        return [os.fspath(self.directory / file_name(split, shard=i, shards=count)) for i in range(count)]


def file_name(split: str, *, shard: int, shards: int) -> str:
    """Returns the name of one TFRecord file, e.g. `audio-train.tfrecord-00000-of-00008`."""
    return f"audio-{split}.tfrecord-{shard:05d}-of-{shards:05d}"


def read_info(directory: epath.PathLike) -> ExamplesInfo:
    """Reads what a folder of examples holds, from its JSON files alone.

    Raises:
        FileNotFoundError: if the folder holds no examples.
    """
    folder = epath.Path(directory)
    info = json.loads((folder / "dataset_info.json").read_text())
    features = json.loads((folder / "features.json").read_text())["featuresDict"]["features"]
    lengths = {split["name"]: tuple(int(n) for n in split["shardLengths"]) for split in info["splits"]}
    audio = features["audio"]["audio"]
    names = folder / "labels.labels.txt"
    return ExamplesInfo(
        directory=folder,
        splits={split: sum(lengths[split]) for split in SPLITS if split in lengths},
        shards={split: len(lengths[split]) for split in SPLITS if split in lengths},
        shard_lengths={split: lengths[split] for split in SPLITS if split in lengths},
        label_names=tuple(names.read_text().splitlines()) if names.exists() else (),
        sample_rate=int(audio["sampleRate"]),
        has_folds="fold" in features,
        storage="flac" if audio.get("lazyDecode") else "pcm",
    )
