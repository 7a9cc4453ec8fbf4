"""Describes a folder of examples from its JSON files alone."""

import dataclasses
import json
import os
from collections.abc import Callable, Mapping
from typing import TypeVar

from etils import epath

SPLITS = ("train", "valid", "eval")

STORAGES = ("pcm", "flac")
"""The ways to store samples. Both are lossless."""


T = TypeVar("T")


class DamagedExamplesError(Exception):
    """A file of a folder of examples does not hold what was written. The message is one sentence that names it.

    Args:
        path: The file.
        what: What is wrong with it, e.g. "is missing".
    """

    def __init__(self, path: epath.PathLike, what: str):
        super().__init__(f"{os.fspath(path)} {what}: write the examples again (--force AudioExampleGen)")
        self.path = os.fspath(path)


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
        DamagedExamplesError: if one of the files is missing or damaged.
    """
    folder = epath.Path(directory)
    if not folder.exists():
        raise FileNotFoundError(f"there is no folder {folder}")
    lengths = _read(folder / "dataset_info.json", _shard_lengths)
    audio, classes, has_folds = _read(folder / "features.json", _features)
    names = folder / "labels.labels.txt"
    label_names = _read(names, _lines) if classes else ()
    if len(label_names) != classes:
        raise DamagedExamplesError(names, f"holds {len(label_names):,} of its {classes:,} lines")
    return ExamplesInfo(
        directory=folder,
        splits={split: sum(lengths[split]) for split in SPLITS if split in lengths},
        shards={split: len(lengths[split]) for split in SPLITS if split in lengths},
        shard_lengths={split: lengths[split] for split in SPLITS if split in lengths},
        label_names=label_names,
        sample_rate=int(audio["sampleRate"]),
        has_folds=has_folds,
        storage="flac" if audio.get("lazyDecode") else "pcm",
    )


def _read(file: epath.Path, parse: Callable[[str], T]) -> T:
    """Returns the parsed content of a file.

    Raises:
        DamagedExamplesError: It is missing or cannot be parsed.
    """
    try:
        return parse(file.read_text())
    except FileNotFoundError as error:
        raise DamagedExamplesError(file, "is missing") from error
    except (ValueError, KeyError, TypeError) as error:  # Also of bytes that are no text, and of JSON.
        raise DamagedExamplesError(file, "is damaged") from error


def _lines(text: str) -> tuple[str, ...]:
    """Returns the lines of a text. Only a line feed ends one; for `str.splitlines`, U+2028 and others do, too."""
    return tuple(text.removesuffix("\n").split("\n")) if text else ()


def _shard_lengths(text: str) -> dict[str, tuple[int, ...]]:
    """Returns the number of clips in each file of each split."""
    return {split["name"]: tuple(int(n) for n in split["shardLengths"]) for split in json.loads(text)["splits"]}


def _features(text: str) -> tuple[Mapping[str, object], int, bool]:
    """Returns the audio feature, the number of classes, and whether there are folds."""
    features = json.loads(text)["featuresDict"]["features"]
    label = features["labels"]["sequence"]["feature"]
    return features["audio"]["audio"], int(label.get("classLabel", {}).get("numClasses", 0)), "fold" in features
