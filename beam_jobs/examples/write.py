"""Serializes clips as Examples."""

from collections.abc import Sequence

import numpy as np
import tensorflow as tf

from beam_jobs.examples import samples


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
    """Serializes one clip. The same clip always gives the same bytes (FLAC: with the same version of libsndfile).

    Args:
        audio: int16 (samples,).
        clip_id: Unique name of the clip.
        labels: Class indices, in any order.
        fold: Official cross-validation fold, from 1; 0 for none.
        start_s: Where the clip begins in its recording, in seconds.
        source: The file that the clip comes from, relative to the corpus.
        source_codec: How that file is encoded, e.g. "wav/pcm_16"; "" if unknown.
        source_rate: Sample rate of that file, in Hz; 0 if unknown.
        storage: "pcm", or "flac" for half to three quarters of the size and slower reading. Both are lossless.
        sample_rate: In Hz, for the header of FLAC.

    Raises:
        ValueError: if `audio` is not int16 (samples,).
    """
    if audio.dtype != np.int16 or audio.ndim != 1:
        raise ValueError(f"audio must be int16 (samples,), not {audio.dtype} {audio.shape}")
    feature = {
        "audio": _bytes_feature(samples.encode(audio, storage=storage, sample_rate=sample_rate)),
        "clip_id": _bytes_feature(clip_id.encode()),
        "labels": _int64_feature(sorted(labels)),
        "fold": _int64_feature([fold]),
        "start_s": tf.train.Feature(float_list=tf.train.FloatList(value=[start_s])),
        "source": _bytes_feature(source.encode()),
        "source_codec": _bytes_feature(source_codec.encode()),
        "source_rate": _int64_feature([source_rate]),
    }
    example = tf.train.Example(features=tf.train.Features(feature=feature))
    return example.SerializeToString(deterministic=True)


def _bytes_feature(value: bytes) -> tf.train.Feature:
    return tf.train.Feature(bytes_list=tf.train.BytesList(value=[value]))


def _int64_feature(values: Sequence[int]) -> tf.train.Feature:
    return tf.train.Feature(int64_list=tf.train.Int64List(value=values))
