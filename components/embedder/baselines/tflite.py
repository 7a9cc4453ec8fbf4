"""Reads TFLite models of any origin."""

from collections.abc import Callable, Iterator, Mapping

import numpy as np
import tensorflow as tf
from tensorflow.lite.tools import flatbuffer_utils

from beam_jobs import error_text
from components.embedder.baselines import calls
from components.errors import UserError


def open_model(content: bytes, *, source: str) -> tf.lite.Interpreter:
    """Returns an interpreter of a model.

    Raises:
        UserError: The model is damaged, or needs an operation that is not among TFLite's own.
    """
    try:
        # Raises an error where the content ends too early. The interpreter would read beyond it and end the process.
        flatbuffer_utils.convert_bytearray_to_object(bytearray(content))
        interpreter = tf.lite.Interpreter(model_content=content)
        interpreter.allocate_tensors()
        return interpreter
    except Exception as error:  # TFLite raises errors of several types.
        raise UserError(
            f"{source} cannot be loaded as a TFLite model ({error_text.first_line(error)}): copy or convert it again."
        ) from error


def run(interpreter: tf.lite.Interpreter, values: np.ndarray) -> dict[str, np.ndarray]:
    """Calls a model with one input and returns its outputs by name."""
    (details,) = interpreter.get_input_details()
    if tuple(details["shape"]) != values.shape:
        interpreter.resize_tensor_input(details["index"], values.shape)
        interpreter.allocate_tensors()
    interpreter.set_tensor(details["index"], values)
    interpreter.invoke()
    return {output["name"]: interpreter.get_tensor(output["index"]) for output in interpreter.get_output_details()}


def calls_of(interpreter: tf.lite.Interpreter) -> Iterator[calls.Call]:
    """Yields the ways to call a model with nothing but a waveform: its signatures, or its tensors if it has none."""
    names = sorted(interpreter.get_signature_list(), key=lambda name: (name != "serving_default", name))
    for name in names:
        runner = interpreter.get_signature_runner(name)
        yield from _call(f"signature {name}", runner.get_input_details(), _by_name(runner))
    if not names:
        inputs = {details["name"]: details for details in interpreter.get_input_details()}
        yield from _call("the model itself", inputs, lambda _, audio: run(interpreter, audio))


def _by_name(runner: tf.lite.Interpreter) -> Callable[[str, np.ndarray], Mapping[str, np.ndarray]]:
    return lambda name, audio: runner(**{name: audio})


def _call(
    title: str,
    inputs: Mapping[str, Mapping[str, object]],
    function: Callable[[str, np.ndarray], Mapping[str, np.ndarray]],
) -> Iterator[calls.Call]:
    if len(inputs) != 1:
        return
    ((name, details),) = inputs.items()
    signature = details["shape_signature"] if len(details["shape_signature"]) else details["shape"]
    shape = tuple(None if size < 0 else int(size) for size in signature)
    if details["dtype"] == np.float32 and len(shape) in (1, 2):
        yield calls.Call(title=title, input=name, shape=shape, run=lambda audio: function(name, audio))
