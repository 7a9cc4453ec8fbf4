"""Reads SavedModels of any origin by their signatures and methods."""

import contextlib
from collections.abc import Callable, Iterator, Mapping

import numpy as np
import tensorflow as tf

from beam_jobs import storage
from components import load_errors
from components.embedder.baselines import calls

_SIGNATURE = "serving_default"


def load(folder: str) -> tf.Module:
    """Loads a SavedModel.

    Raises:
        UserError: It is damaged, or needs an operation that this TensorFlow lacks.
    """
    with errors_as_user_errors(folder), storage.without_wildcards(folder) as readable:
        return tf.saved_model.load(readable)


def errors_as_user_errors(folder: str) -> contextlib.AbstractContextManager[None]:
    """Turns any error of loading a SavedModel within a `with` block into a `UserError`."""
    return load_errors.as_user_errors(f"{folder} cannot be loaded as a SavedModel", way_out="copy or export it again")


def calls_of(model: tf.Module) -> Iterator[calls.Call]:
    """Yields the ways to call a SavedModel with nothing but a waveform, the most telling one first.

    These are the signature `serving_default`, the model itself, like YAMNet and VGGish, the method `infer_tf`, like
    Perch, and the other signatures.
    """
    signatures = dict(model.signatures)
    if _SIGNATURE in signatures:
        yield from _of_signature(_SIGNATURE, signatures.pop(_SIGNATURE))
    yield from _of_method("the model itself", model.__call__ if callable(model) else None)
    yield from _of_method(calls.INFER_TF, getattr(model, "infer_tf", None))
    for name, function in sorted(signatures.items()):
        yield from _of_signature(name, function)


def sample_rate(model: tf.Module) -> int | None:
    """Returns the sample rate that a model tells, as a variable or as a function without arguments, or None."""
    value = getattr(model, "sample_rate", None)
    try:
        rate = int(value() if callable(value) else value)
    except Exception:  # Whatever it is, it is no number.
        return None
    return rate if rate >= 1000 else None  # Less is not in Hz.


def _of_signature(name: str, function: Callable[..., Mapping[str, tf.Tensor]]) -> Iterator[calls.Call]:
    inputs = function.structured_input_signature[1]
    shapes = {key: _waveform_shape(spec) for key, spec in inputs.items()}
    if len(inputs) == 1 and all(shapes.values()):
        ((key, shape),) = shapes.items()
        yield calls.Call(
            title=f"signature {name}",
            input=key,
            shape=shape,
            run=lambda audio: _named(function(**{key: tf.constant(audio)})),
        )


def _of_method(title: str, method: Callable[..., object] | None) -> Iterator[calls.Call]:
    """Yields the ways to call a method: for single waveforms first, which is what its authors document."""
    shapes = set()
    for traced in getattr(method, "concrete_functions", ()):
        positional, named = traced.structured_input_signature
        tensors = [value for value in tf.nest.flatten((positional, named)) if isinstance(value, tf.TensorSpec)]
        if len(tensors) == 1 and positional and positional[0] is tensors[0]:
            shapes.add(_waveform_shape(tensors[0]))
    for shape in sorted(shapes - {None}, key=len):
        yield calls.Call(
            title=title,
            input="",
            shape=shape,
            run=lambda audio: _named(method(tf.constant(audio))),
            # Perch returns logits and embedding.
            unnamed_embedding=calls.UNNAMED.format(1) if title == calls.INFER_TF else "",
        )


def _waveform_shape(spec: tf.TensorSpec) -> tuple[int | None, ...] | None:
    """Returns the shape of an input that may be a waveform, or None if it is none."""
    if spec.dtype != tf.float32:
        return None
    if spec.shape.rank is None:
        return (None, None)
    return tuple(spec.shape) if spec.shape.rank in (1, 2) else None


def _named(outputs: object) -> dict[str, np.ndarray]:
    """Names the outputs of a function like TensorFlow names those of a signature."""
    if isinstance(outputs, Mapping):
        named = dict(outputs)
    elif hasattr(outputs, "_asdict"):
        named = outputs._asdict()
    elif isinstance(outputs, list | tuple):
        named = {calls.UNNAMED.format(number): value for number, value in enumerate(outputs)}
    else:
        named = {calls.UNNAMED.format(0): outputs}
    return {str(name): value.numpy() for name, value in named.items() if isinstance(value, tf.Tensor)}
