"""Computes every set of features that the Evaluator compares, in one pass over the audio."""

import dataclasses
import os
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

import keras
import numpy as np
import tensorflow as tf
from etils import epath

from beam_jobs import storage
from beam_jobs.audio import pcm
from components.evaluator import baselines
from components.evaluator.clips import Clips, StoredClip
from models import subclip_starts, subclips
from models.dual import DualEncoder  # This import also registers the class, so that `load_model` finds it.

BOTH = "both"
"""The set of features that concatenates the embeddings of all encoders."""
UNTRAINED = "untrained/"
"""The prefix of the sets that come from the encoders before training."""
MFCC = "mfcc_mean_std"
"""The set of features of the classical baseline."""

_SUBCLIPS_PER_BATCH = 64
_MAX_WAITING_CLIPS = 256

# float32 (batch, samples) -> set of features -> (batch, subclips, dim)
Embedder = Callable[[tf.Tensor], Mapping[str, tf.Tensor]]


def load_embedder(model_dir: epath.Path, saved_model: epath.Path) -> Embedder:
    """Loads everything that is compared: the SavedModel, the same encoders before training, and MFCC statistics.

    Args:
        model_dir: The Trainer's model folder. Its `initial.keras` holds the untrained encoders.
        saved_model: The exported model.
    """
    with storage.without_wildcards(saved_model) as readable:
        served = tf.saved_model.load(readable)
    untrained: DualEncoder = keras.models.load_model(os.fspath(model_dir / "initial.keras"), compile=False)
    mfcc = baselines.MfccStatistics(sample_rate=untrained.sample_rate, crop=untrained.crop_samples)
    names = untrained.embedding_names

    @tf.function(input_signature=[tf.TensorSpec((None, None), tf.float32)], autograph=False)
    def embed_baselines(audio: tf.Tensor) -> dict[str, tf.Tensor]:
        features = _as_features(subclips.embed_subclips(untrained, audio), names, prefix=UNTRAINED)
        features[MFCC] = mfcc.statistics(audio)
        return features

    def embed_all(audio: tf.Tensor) -> dict[str, tf.Tensor]:
        features = _as_features(served.signatures["windows"](audio=audio), names, prefix="")
        features.update(embed_baselines(audio))
        return features

    return embed_all


def embed(
    clips: Iterable[StoredClip],
    embedder: Embedder,
    *,
    crop: int,
    report_progress: Callable[[int], None] = lambda count: None,
) -> Clips:
    """Embeds clips in batches of equal length, so that no clip is padded.

    Args:
        clips: The clips.
        embedder: Computes the sets of features, see `load_embedder`.
        crop: Length of a sub-clip in samples, which decides the number of clips in a batch.
        report_progress: Called after each batch with the number of clips embedded so far.
    """
    embedded: dict[int, _EmbeddedClip] = {}
    for batch in _batches_of_equal_length(clips, crop=crop):
        audio = pcm.to_float(np.stack([clip.audio for _, clip in batch]))
        features = {name: values.numpy() for name, values in embedder(tf.constant(audio)).items()}
        for row, (index, clip) in enumerate(batch):
            embedded[index] = _EmbeddedClip(
                clip_id=clip.clip_id,
                labels=clip.labels,
                fold=clip.fold,
                split=clip.split,
                features={name: values[row] for name, values in features.items()},
            )
        report_progress(len(embedded))
    return _join([embedded[index] for index in range(len(embedded))])


@dataclasses.dataclass(frozen=True, kw_only=True)
class _EmbeddedClip:
    """One clip after embedding, without its audio.

    Attributes:
        features: Set of features -> float32 (subclips, dim).
    """

    clip_id: str
    labels: tuple[int, ...]
    fold: int
    split: str
    features: Mapping[str, np.ndarray]


def _join(clips: Sequence[_EmbeddedClip]) -> Clips:
    return Clips(
        features={name: np.concatenate([clip.features[name] for clip in clips]) for name in clips[0].features},
        subclip_counts=np.array([len(clip.features[MFCC]) for clip in clips]),
        clip_ids=[clip.clip_id for clip in clips],
        labels=[clip.labels for clip in clips],
        folds=np.array([clip.fold for clip in clips]),
        splits=np.array([clip.split for clip in clips]),
    )


def _as_features(embeddings: Mapping[str, tf.Tensor], encoders: Sequence[str], *, prefix: str) -> dict[str, tf.Tensor]:
    """Renames the outputs of `models.subclips.embed_subclips` to sets of features."""
    features = {prefix + encoder: embeddings[encoder] for encoder in encoders}
    features[prefix + BOTH] = embeddings["embedding"]
    return features


def _batches_of_equal_length(clips: Iterable[StoredClip], *, crop: int) -> Iterator[list[tuple[int, StoredClip]]]:
    """Groups clips of the same length into batches of about `_SUBCLIPS_PER_BATCH` sub-clips.

    Clips wait until there are enough of their length. If `_MAX_WAITING_CLIPS` clips wait, the largest group becomes a
    batch.

    Yields:
        `(index, clip)` pairs, where the index is the clip's position in `clips`.
    """
    waiting: dict[int, list[tuple[int, StoredClip]]] = {}
    waiting_clips = 0
    for index, clip in enumerate(clips):
        samples = clip.audio.size
        waiting.setdefault(samples, []).append((index, clip))
        waiting_clips += 1
        subclip_count = len(subclip_starts.subclip_starts(samples, crop=crop, stride=subclip_starts.half_crop(crop)))
        if len(waiting[samples]) >= max(1, _SUBCLIPS_PER_BATCH // subclip_count):
            batch = waiting.pop(samples)
        elif waiting_clips >= _MAX_WAITING_CLIPS:
            batch = waiting.pop(max(waiting, key=lambda length: len(waiting[length])))
        else:
            continue
        waiting_clips -= len(batch)
        yield batch
    yield from waiting.values()
