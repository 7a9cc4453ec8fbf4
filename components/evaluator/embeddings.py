"""Embeds the examples with everything that is to be compared, in one pass over the audio."""

import dataclasses
import os
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

import keras
import numpy as np
import tensorflow as tf
from etils import epath

import models.dual  # noqa: F401 (registers the classes that `load_model` looks up)
from beam_jobs import examples
from beam_jobs.audio import pcm
from components.evaluator import baselines
from models import subclips

BOTH, UNTRAINED, MFCC = "both", "untrained/", "mfcc_mean_std"
_WINDOWS_PER_BATCH = 64
_MOST_WAITING = 256  # clips held back until there are others of their length

# float32 (batch, samples) -> name of a set of features -> (batch, windows, dim)
Embedder = Callable[[tf.Tensor], Mapping[str, tf.Tensor]]


@dataclasses.dataclass(frozen=True, kw_only=True)
class Clips:
    """Embedded clips, in the order of the examples; the windows of a clip are consecutive.

    Attributes:
        features: Name of a set ("waveform", "both", "untrained/both", "mfcc_mean_std" ...) -> float32 (windows, dim).
        window_counts: int (clips,): windows of each clip.
        clip_ids: Name of each clip.
        labels: Class indices of each clip.
        folds: int (clips,): 0 for none.
        splits: Split of each clip, (clips,) of str.
    """

    features: Mapping[str, np.ndarray]
    window_counts: np.ndarray
    clip_ids: list[str]
    labels: list[tuple[int, ...]]
    folds: np.ndarray
    splits: np.ndarray

    @property
    def owner(self) -> np.ndarray:
        """Index of the clip each window belongs to, (windows,)."""
        return np.repeat(np.arange(len(self.clip_ids)), self.window_counts)

    def clip_means(self, values: np.ndarray) -> np.ndarray:
        """Averages values of the windows, (windows, k), over each clip: (clips, k)."""
        starts = np.cumsum(self.window_counts) - self.window_counts
        return np.add.reduceat(values, starts, axis=0) / self.window_counts[:, None]

    def targets(self, classes: int) -> np.ndarray:
        """Multi-hot labels, bool (clips, classes)."""
        hot = np.zeros((len(self.labels), classes), bool)
        for row, labels in zip(hot, self.labels, strict=True):
            row[list(labels)] = True
        return hot


def embedders(model_dir: epath.Path, saved_model: epath.Path) -> Embedder:
    """Everything to compare: the SavedModel as it is served, the same encoders before training, and MFCCs.

    Args:
        model_dir: The trained model's folder, for its `initial.keras`.
        saved_model: The exported model.
    """
    served = tf.saved_model.load(os.fspath(saved_model))
    initial = keras.models.load_model(os.fspath(model_dir / "initial.keras"), compile=False)
    mfcc = baselines.MfccStatistics(sample_rate=initial.sample_rate, crop=initial.crop_samples)
    names = initial.embedding_names

    @tf.function(input_signature=[tf.TensorSpec((None, None), tf.float32)], autograph=False)
    def others(audio: tf.Tensor) -> dict[str, tf.Tensor]:
        untrained = _named(subclips.embed_subclips(initial, audio), names, prefix=UNTRAINED)
        return {**untrained, MFCC: mfcc.windows(audio)}

    def embed(audio: tf.Tensor) -> Mapping[str, tf.Tensor]:
        trained = served.signatures["windows"](audio=audio)
        return {**_named(trained, names, prefix=""), **others(audio)}

    return embed


def read_clips(directory: epath.Path, *, splits: Iterable[str], limit: int | None) -> Iterator[dict[str, Any]]:
    """Yields the clips of the splits in order, as `beam_jobs.examples.parse` gives them, with their `split`.

    Args:
        directory: The examples.
        splits: Which to read.
        limit: Most clips of each split; None for all.
    """
    for split in splits:
        for clip in examples.dataset(directory, split).take(-1 if limit is None else limit).as_numpy_iterator():
            yield {**clip, "split": split}


def embed(
    clips: Iterable[dict[str, Any]],
    embedder: Embedder,
    *,
    crop: int,
    done: Callable[[int], None] = lambda count: None,
) -> Clips:
    """Embeds clips, batched by equal length, so that nothing is padded.

    Args:
        clips: From `read_clips`.
        embedder: What to embed them with.
        crop: Length of a sub-clip, which decides how many clips make a batch.
        done: Told how many clips are embedded so far.
    """
    about, rows = [], {}
    for batch in _equal_lengths(enumerate(clips), crop=crop):
        audio = pcm.to_float(np.stack([clip["audio"] for _, clip in batch]))
        values = {name: value.numpy() for name, value in embedder(tf.constant(audio)).items()}
        for place, (index, clip) in enumerate(batch):
            rows[index] = {name: value[place] for name, value in values.items()}
            about.append((index, clip["clip_id"].decode(), tuple(clip["labels"]), clip["fold"], clip["split"]))
        done(len(rows))
    about.sort()
    in_order = [rows[index] for index in range(len(rows))]
    return Clips(
        features={name: np.concatenate([row[name] for row in in_order]) for name in in_order[0]},
        window_counts=np.array([len(row[MFCC]) for row in in_order]),
        clip_ids=[row[1] for row in about],
        labels=[tuple(int(label) for label in row[2]) for row in about],
        folds=np.array([row[3] for row in about]),
        splits=np.array([row[4] for row in about]),
    )


def _named(values: Mapping[str, tf.Tensor], names: tuple[str, ...], *, prefix: str) -> dict[str, tf.Tensor]:
    return {**{prefix + name: values[name] for name in names}, prefix + BOTH: values["embedding"]}


def _equal_lengths(clips: Iterable[tuple[int, dict]], *, crop: int) -> Iterator[list[tuple[int, dict]]]:
    """Batches of clips of the same length, of about `_WINDOWS_PER_BATCH` windows; few clips wait at any time."""
    waiting: dict[int, list] = {}
    held = 0
    for item in clips:
        samples = item[1]["audio"].size
        same = waiting.setdefault(samples, [])
        same.append(item)
        held += 1
        windows = len(subclips.subclip_starts(samples, crop=crop, stride=subclips.half_crop(crop)))
        full = max(1, _WINDOWS_PER_BATCH // windows)
        if len(same) < full:
            if held < _MOST_WAITING:
                continue
            samples = max(waiting, key=lambda key: len(waiting[key]))
        batch = waiting.pop(samples)
        held -= len(batch)
        yield batch
    yield from waiting.values()
