"""Reads WAV files within a TensorFlow graph, as `wav_bytes` gets them. Their headers are parsed in `wav_header`."""

import struct

import numpy as np
import tensorflow as tf

from beam_jobs.audio.pcm import LARGEST
from components.exporter import resampler, sounds, wav_header
from components.exporter.sounds import Clips
from components.exporter.wav_header import Header


def read(wav_bytes: tf.Tensor, *, sample_rate: int) -> tuple[Clips, tf.Tensor]:
    """Reads files one by one: averages the channels, resamples, and saturates at full scale, as the decoder does.

    Args:
        wav_bytes: string (batch,), the content of a file each. They may differ in length, rate, depth and channels.
        sample_rate: The rate of the result, in Hz.

    Returns:
        As `sounds.from_audio`.

    Raises:
        tf.errors.InvalidArgumentError: When the graph runs: there is another number of dimensions, or a file cannot be
            read or exceeds full scale by far. The message says which, and why.
    """
    # Strings are read on the CPU anyway, and a GPU may round the factors of products.
    with tf.device("CPU:0"):
        files, given = _checked(wav_bytes, sample_rate=sample_rate)

        def add(
            index: tf.Tensor, samples: tf.TensorArray, lengths: tf.TensorArray
        ) -> tuple[tf.Tensor, tf.TensorArray, tf.TensorArray]:
            sound = _read_one(files[index], index, sample_rate=sample_rate)
            length = tf.size(sound, out_type=tf.int64)
            return index + 1, samples.write(index, sound), lengths.write(index, length)

        count = tf.size(files)
        samples = tf.TensorArray(tf.float32, size=count, infer_shape=False, element_shape=(None,))
        lengths = tf.TensorArray(tf.int64, size=count, element_shape=())
        _, samples, lengths = tf.while_loop(
            lambda index, *_: index < count, add, (tf.constant(0), samples, lengths), parallel_iterations=1
        )
        return Clips(samples.concat(), lengths.stack()), given


def _checked(wav_bytes: tf.Tensor, *, sample_rate: int) -> tuple[tf.Tensor, tf.Tensor]:
    """Returns at least one file, silence for an empty batch, and the number of files that were given."""
    shape = tf.shape(wav_bytes)
    # Counted for the reason in `sounds.from_audio`.
    dimensions = tf.size(tf.where(shape >= 0))
    message = "wav_bytes must have one dimension, (batch,); a single file is a batch of one; its shape is"
    is_batch = sounds.require(dimensions == 1, message, shape)
    with tf.control_dependencies([is_batch]):
        given = tf.identity(tf.size(wav_bytes))
    files = tf.reshape(wav_bytes, (given,))
    silence = encode(np.zeros(1, np.int16), rate=sample_rate)
    return tf.cond(given == 0, lambda: tf.constant([silence]), lambda: files), given


def _read_one(file: tf.Tensor, index: tf.Tensor, *, sample_rate: int) -> tf.Tensor:
    file, header = wav_header.read(file, index, sample_rate=sample_rate)
    return resampler.resample(
        lambda first, count: _decode(file, header, first=first, count=count),
        header.frames,
        resampler.resampled_length(header.frames, header.rate, sample_rate=sample_rate),
        resampler.design(header.rate, sample_rate=sample_rate),
        finish=lambda piece: _saturated(piece, index),
    )


def _saturated(samples: tf.Tensor, index: tf.Tensor) -> tf.Tensor:
    """Returns samples between -1 and 1; what is not finite stays, so that its embedding is NaN."""
    is_finite = tf.math.is_finite(samples)
    largest = tf.reduce_max(tf.where(is_finite, tf.abs(samples), 0.0))
    problem = "holds samples far beyond full scale, which is 1; scale them to between -1 and 1; the largest is"
    samples = wav_header.require(largest <= LARGEST, problem, [largest], index, then=samples)
    return tf.where(is_finite, tf.clip_by_value(samples, -1.0, 1.0), samples)


def _decode(file: tf.Tensor, header: Header, *, first: tf.Tensor, count: tf.Tensor) -> tf.Tensor:
    """Returns some frames, float32 (count,) with full scale 1: the mean of the channels."""
    frame_bytes = header.channels * header.sample_bytes
    raw = tf.strings.substr(file, header.start + first * frame_bytes, count * frame_bytes)
    is_float = header.encoding == wav_header.FLOAT
    samples = tf.switch_case(
        tf.cast(tf.where(is_float, 3 + header.sample_bytes // 4, header.sample_bytes - 1), tf.int32),
        [
            lambda: (_as_float(raw, tf.uint8) - 128) / 2**7,
            lambda: _as_float(raw, tf.int16) / 2**15,
            lambda: _from_24_bits(raw) / 2**23,
            lambda: _as_float(raw, tf.int32) / 2**31,
            lambda: _as_float(raw, tf.float32),
            lambda: _as_float(raw, tf.float64),
        ],
    )
    return tf.reduce_mean(tf.reshape(samples, (count, header.channels)), axis=1)


def _as_float(raw: tf.Tensor, dtype: tf.DType) -> tf.Tensor:
    return tf.cast(tf.io.decode_raw(raw, dtype), tf.float32)


def _from_24_bits(raw: tf.Tensor) -> tf.Tensor:
    parts = tf.reshape(tf.cast(tf.io.decode_raw(raw, tf.uint8), tf.int32), (-1, 3))
    unsigned = parts[:, 0] + 2**8 * parts[:, 1] + 2**16 * parts[:, 2]
    return tf.cast(tf.where(unsigned >= 2**23, unsigned - 2**24, unsigned), tf.float32)


def encode(samples: np.ndarray, *, rate: int) -> bytes:
    """Returns the content of a WAV file.

    Args:
        samples: int16 (frames, channels) or (frames,).
        rate: In Hz.
    """
    content = samples.astype("<i2").tobytes()
    channels = samples.size // len(samples)
    head = struct.pack("<IHHIIHH", 16, wav_header.PCM, channels, rate, 2 * channels * rate, 2 * channels, 16)
    length = struct.pack("<I", len(content))
    return b"RIFF" + struct.pack("<I", 36 + len(content)) + b"WAVEfmt " + head + b"data" + length + content
