"""The samples of one clip as bytes, PCM or FLAC, and back: whole or in part."""

import io
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    import tensorflow as tf

STORAGES = ("pcm", "flac")


def encode(audio: np.ndarray, *, storage: str, sample_rate: int) -> bytes:
    """Stores int16 (samples,), at least one for FLAC, without loss."""
    if storage == "pcm":
        return audio.astype("<i2", copy=False).tobytes()
    import soundfile

    buffer = io.BytesIO()
    soundfile.write(buffer, audio, sample_rate, format="FLAC", subtype="PCM_16")
    return buffer.getvalue()


def decode(stored: "tf.Tensor", *, storage: str) -> "tf.Tensor":
    """The samples of one clip, int16 (samples,), from the `audio` of its Example, string ()."""
    import tensorflow as tf

    if storage == "pcm":
        return tf.io.decode_raw(stored, tf.int16)
    return tf.ensure_shape(tf.numpy_function(_read_flac, [stored, 0, -1], tf.int16), (None,))


def length(stored: "tf.Tensor", *, storage: str) -> "tf.Tensor":
    """How many samples one stored clip has, int32 (), without decoding it."""
    import tensorflow as tf

    if storage == "pcm":
        return tf.strings.length(stored) // 2
    # FLAC begins with "fLaC" and the STREAMINFO block, whose bytes 14 to 17 end the count of samples (RFC 9639, 8.2).
    return tf.io.decode_raw(tf.strings.substr(stored, 22, 4), tf.int32, little_endian=False)[0]


def window(stored: "tf.Tensor", *, start: "tf.Tensor", samples: int, storage: str) -> "tf.Tensor":
    """A part of one stored clip, int16 (samples,), of which nothing else is decoded.

    Args:
        stored: The `audio` of an Example, string ().
        start: First sample, int32 (); `start + samples` is no more than the clip's length.
        samples: How many.
        storage: "pcm" or "flac".
    """
    import tensorflow as tf

    if storage == "pcm":
        part = tf.io.decode_raw(tf.strings.substr(stored, 2 * start, 2 * samples), tf.int16)
    else:
        part = tf.numpy_function(_read_flac, [stored, start, samples], tf.int16)
    return tf.ensure_shape(part, (samples,))


def _read_flac(stored: bytes, start: int, samples: int) -> np.ndarray:
    import soundfile

    # libsndfile lets go of the interpreter lock; tensorflow-io's decode_flac took nine times as long.
    content = np.asarray(stored, object).item()  # eagerly TensorFlow passes an array, in a graph bytes
    with soundfile.SoundFile(io.BytesIO(content)) as file:
        file.seek(start)
        return file.read(samples, dtype="int16")
