"""Checks what a request gives to a signature, and calls it."""

import math
import re
import struct
from collections.abc import Mapping, Sequence

import numpy as np
import tensorflow as tf
from absl import logging

from beam_jobs.audio import DecodeError, resample
from components.embedding_info import EmbeddingInfo
from components.exporter import wav_header
from pipeline.serving.server.batching import Batcher
from pipeline.serving.server.limits import Limits, Refused
from pipeline.serving.server.served import DEFAULT_SIGNATURE, ServedVersion, Signature, Tensor

_NAMES = re.compile(r"\{\{\w+ [^}]*\}\}|\[\[.*?\]\]|\[Op:.*?\]")
_BRACKETS = re.compile(r"[\[\]]")

_FRAMES = "frames"
"""The signature that embeds many more windows of a sound than the others."""


def signature(version: ServedVersion, name: object) -> Signature:
    """Returns the signature that a request names; `name` is None or "" for the default one.

    Raises:
        Refused: There is no such signature.
    """
    found = version.signatures.get(name or DEFAULT_SIGNATURE) if isinstance(name, str | None) else None
    if found is None:
        raise Refused(400, f"The model has no signature {name}: name one of {', '.join(sorted(version.signatures))}.")
    return found


def check(version: ServedVersion, called: Signature, inputs: Mapping[str, np.ndarray], *, limits: Limits) -> None:
    """Checks what a request gives. It takes a while if that is much.

    Args:
        version: The signature's.
        called: The signature.
        inputs: Name -> array; strings are bytes, as objects.
        limits: The bounds.

    Raises:
        Refused: The inputs do not fit the signature or the limits.
    """
    _check_names(called, inputs)
    for name, array in inputs.items():
        _check_shape(array, called.inputs[name], name=name)
        _check_range(array, name=name)
    if len({len(array) for array in inputs.values()}) > 1:
        raise Refused(400, f"The inputs {', '.join(inputs)} have different numbers of clips.")
    _check_length(called, inputs, info=version.info, limits=limits)


async def call(
    version: ServedVersion,
    called: Signature,
    inputs: Mapping[str, np.ndarray],
    *,
    batcher: Batcher,
    limits: Limits,
) -> Mapping[str, np.ndarray]:
    """Calls a signature.

    Args:
        version: The signature's.
        called: The signature.
        inputs: Name -> array, as `check` has checked them.
        batcher: Calls it, with other requests.
        limits: The bounds.

    Returns:
        Name of an output -> array.

    Raises:
        Refused: The model refuses the inputs.
    """
    try:
        parts = _parts(inputs, clips=limits.batch_clips)
        # One after the other: all other requests that wait are embedded in between.
        return _joined([await batcher.run(version, called, part) for part in parts])
    except tf.errors.InvalidArgumentError as error:
        raise Refused(400, f"The model refuses the input: {_reason(error)}") from error
    except (tf.errors.ResourceExhaustedError, MemoryError) as error:
        raise Refused(503, "There is no memory for this request: send less at a time.", reason="memory") from error
    except tf.errors.OpError as error:
        logging.exception("the signature %s failed", called.name)
        raise Refused(500, f"The model failed: {_reason(error)}", reason="failed") from error


def _check_length(called: Signature, inputs: Mapping[str, np.ndarray], *, info: EmbeddingInfo, limits: Limits) -> None:
    """Checks that a request is no more work than is allowed: nobody can stop the model once it computes."""
    seconds = sum(_seconds(array, info=info) for array in inputs.values())
    times = 1.0
    if called.name == _FRAMES and info.frame_hop_samples:
        times = info.stride_samples / info.frame_hop_samples
    if seconds * times > limits.seconds:
        each = f", each of which counts as {times:g} because of its many windows" if times > 1 else ""
        raise Refused(
            413,
            f"The request holds {seconds:,.0f} s of sound{each}, where a clip counts at least as a window, and more "
            f"than {limits.seconds:g} s: send fewer or shorter clips at a time.",
            reason="length",
        )


def _check_names(called: Signature, inputs: Mapping[str, np.ndarray]) -> None:
    if set(inputs) != set(called.inputs):
        wanted, given = ", ".join(sorted(called.inputs)), ", ".join(sorted(inputs)) or "nothing"
        raise Refused(400, f"The signature {called.name} takes {wanted}, and the request gives {given}.")


def _check_shape(array: np.ndarray, tensor: Tensor, *, name: str) -> None:
    if tensor.shape is None:
        return
    fits = array.ndim == len(tensor.shape) and all(
        size is None or size == given for size, given in zip(tensor.shape, array.shape, strict=True)
    )
    if not fits:
        shown = ", ".join("any" if size is None else str(size) for size in tensor.shape)
        raise Refused(400, f"{name} has the shape {list(array.shape)}, and the signature takes [{shown}], clips first.")


def _check_range(array: np.ndarray, *, name: str) -> None:
    """Refuses numbers that are no sound with full scale 1. Of files, `wav_bytes` itself refuses them.

    What is not finite may stand, as in TensorFlow Serving: it makes the embedding NaN.
    """
    if array.dtype == object:
        return
    try:
        resample.check_range(_largest(array))
    except DecodeError as error:
        raise Refused(400, f"{name} {error}.") from error


def _largest(array: np.ndarray) -> float:
    """Returns the largest magnitude that is finite."""
    largest = max(float(array.max(initial=0.0)), -float(array.min(initial=0.0)))
    if math.isfinite(largest):
        return largest
    is_finite = np.isfinite(array)
    return max(float(array.max(initial=0.0, where=is_finite)), -float(array.min(initial=0.0, where=is_finite)))


def _parts(inputs: Mapping[str, np.ndarray], *, clips: int) -> list[dict[str, np.ndarray]]:
    """Cuts a request into batches, because the memory of the model grows with the number of clips that it gets."""
    count = max(map(len, inputs.values()), default=0)
    starts = range(0, max(count, 1), clips)
    return [{name: array[start : start + clips] for name, array in inputs.items()} for start in starts]


def _joined(parts: Sequence[Mapping[str, np.ndarray]]) -> Mapping[str, np.ndarray]:
    if len(parts) == 1:
        return parts[0]
    return {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}


def _seconds(array: np.ndarray, *, info: EmbeddingInfo) -> float:
    """Returns how much sound an input makes the model embed. A clip that is shorter than a window is repeated."""
    window_s = info.crop_samples / info.sample_rate
    if array.dtype == object:
        return sum(max(window_s, _wav_seconds(content)) for content in array.ravel())
    samples = array.shape[1] if array.ndim > 1 else 1
    return len(array) * max(window_s, samples / info.sample_rate)


def _wav_seconds(content: bytes) -> float:
    """Returns how long a WAV plays according to its format and the bytes that are there; 0 for what the model refuses.

    As in the model, the format that counts is the last one before the samples.
    """
    seconds, position = 0.0, 12
    for _ in range(wav_header.MOST_CHUNKS):
        if position + 8 > len(content):
            break
        kind, size = struct.unpack_from("<4sI", content, position)
        if kind == b"data" and seconds:
            return seconds
        if kind == b"fmt " and position + 24 <= len(content):
            _, channels, rate, _, block, bits = struct.unpack_from("<HHIIHH", content, position + 8)
            block = min(filter(None, (block, channels * bits // 8)), default=1)
            seconds = len(content) / block / max(rate, 1)
        position += 8 + size + size % 2
    return 0.0


def _reason(error: tf.errors.OpError) -> str:
    """Returns what an operation says as the end of a sentence, without the names of the operations around it."""
    text = _NAMES.sub("", str(error.message)).strip()
    _, is_assertion, said = text.partition("assertion failed:")
    # An assertion puts each thing that it says into brackets.
    text = _BRACKETS.sub("", said) if is_assertion else text
    return f"{(text.strip().splitlines() or ['it does not say why'])[0].strip(' .')}."
