"""Encodes the samples of one clip as PCM or FLAC bytes, and decodes all or a part of them.

FLAC has two decoders, which give the same samples:

    soundfile        nine times as fast; called back in the Python process that built the graph
    tensorflow_io    an operation of the graph, for input pipelines that TensorFlow runs in another process
"""

import io

import numpy as np
import soundfile
import tensorflow as tf


def encode(audio: np.ndarray, *, storage: str, sample_rate: int) -> bytes:
    """Encodes samples without loss.

    Args:
        audio: int16 (samples,), with at least one sample for FLAC.
        storage: "pcm" or "flac".
        sample_rate: In Hz, for the header of FLAC.
    """
    if storage == "pcm":
        return audio.astype("<i2", copy=False).tobytes()
    buffer = io.BytesIO()
    soundfile.write(buffer, audio, sample_rate, format="FLAC", subtype="PCM_16")
    return buffer.getvalue()


def decode(encoded: tf.Tensor, *, storage: str, flac_decoder: str = "soundfile") -> tf.Tensor:
    """Decodes all samples of one clip.

    Args:
        encoded: string (), the `audio` of an Example.
        storage: "pcm" or "flac".
        flac_decoder: "soundfile" or "tensorflow_io".

    Returns:
        int16 (samples,).
    """
    if storage == "pcm":
        return tf.io.decode_raw(encoded, tf.int16)
    if flac_decoder == "tensorflow_io":
        return _decode_flac_in_graph(encoded)
    return tf.ensure_shape(tf.numpy_function(_read_flac, [encoded, 0, -1], tf.int16), (None,))


def decode_part(encoded: tf.Tensor, *, start: tf.Tensor, samples: int, storage: str) -> tf.Tensor:
    """Decodes a part of one clip, without decoding the rest, and FLAC by soundfile.

    Args:
        encoded: string (), the `audio` of an Example.
        start: int32 (), the first sample. `start + samples` must not exceed the length of the clip.
        samples: Number of samples.
        storage: "pcm" or "flac".

    Returns:
        int16 (samples,).
    """
    if storage == "pcm":
        part = tf.io.decode_raw(tf.strings.substr(encoded, 2 * start, 2 * samples), tf.int16)
    else:
        part = tf.numpy_function(_read_flac, [encoded, start, samples], tf.int16)
    return tf.ensure_shape(part, (samples,))


def length(encoded: tf.Tensor, *, storage: str) -> tf.Tensor:
    """Returns the number of samples of one clip, int32 (), without decoding it.

    Args:
        encoded: string (), the `audio` of an Example.
        storage: "pcm" or "flac".
    """
    if storage == "pcm":
        return tf.strings.length(encoded) // 2
    # A FLAC file begins with "fLaC" and the STREAMINFO block. Bytes 22 to 25 of the file are the lower 32 bits of the
    # number of samples (RFC 9639, section 8.2).
    return tf.io.decode_raw(tf.strings.substr(encoded, 22, 4), tf.int32, little_endian=False)[0]


def _decode_flac_in_graph(encoded: tf.Tensor) -> tf.Tensor:
    # Imported here because it takes a second, registers file systems, and few trainings need it.
    import tensorflow_io

    return tensorflow_io.audio.decode_flac(encoded, dtype=tf.int16)[:, 0]


def _read_flac(encoded: bytes, start: int, samples: int) -> np.ndarray:
    # libsndfile releases the interpreter lock.
    content = np.asarray(encoded, object).item()  # TensorFlow passes an array when eager, and bytes in a graph.
    with soundfile.SoundFile(io.BytesIO(content)) as file:
        file.seek(start)
        return file.read(samples, dtype="int16")
