"""Values in JSON to arrays, and arrays to JSON, as TensorFlow Serving writes both."""

import base64
import binascii
import json
from collections.abc import Mapping, Sequence

import numpy as np
import orjson
import tensorflow as tf

from pipeline.serving.server.limits import Refused
from pipeline.serving.server.served import Tensor

_BINARY = "b64"
_BINARY_SUFFIX = "_bytes"
_MOST_CONTAINERS = 20_000
"""Lists and objects in a document. A body of nothing but these would take 30 times its size in memory."""

MOST_STRINGS = 20_000
"""The most strings in a tensor. A short string takes as long to handle as a long one. See `check_strings`."""

# A string has two of them, and so has a name, of which an instance may have a few.
_MOST_QUOTES = 10 * MOST_STRINGS

Json = object
"""What `parse` returns: a dict, list, str, float, int, bool or None."""


def parse(body: bytes) -> dict[str, Json]:
    """Parses the body of a request, in which NaN and Infinity may stand as well.

    Raises:
        Refused: It is not a JSON object.
    """
    if body.count(b"[") + body.count(b"{") > _MOST_CONTAINERS:
        raise Refused(
            400, f"The body has more than {_MOST_CONTAINERS:,} lists and objects: send fewer clips at a time."
        )
    if body.count(b'"') > _MOST_QUOTES:
        raise Refused(400, f"The body has more than {_MOST_QUOTES // 2:,} strings: send fewer at a time.")
    try:
        document = _loads(body)
    except (ValueError, RecursionError) as error:
        raise Refused(400, f"The body is not JSON ({error}).") from error
    if not isinstance(document, dict):
        raise Refused(400, "The body is not a JSON object.")
    return document


def _loads(body: bytes) -> Json:
    try:
        return orjson.loads(body)
    except ValueError:
        if b"NaN" not in body and b"Infinity" not in body:
            raise
        return json.loads(body)


def dump(document: Mapping[str, object]) -> bytes:
    """Writes a document, which may hold arrays. What is not finite becomes NaN or Infinity."""
    options = orjson.OPT_SERIALIZE_NUMPY
    if _is_finite(document):
        return orjson.dumps(document, option=options)
    return json.dumps(document, default=_as_list).encode()


def _is_finite(value: object) -> bool:
    if isinstance(value, np.ndarray | np.floating):
        return value.dtype.kind != "f" or bool(np.isfinite(value).all())
    if isinstance(value, Mapping):
        return all(map(_is_finite, value.values()))
    return not isinstance(value, list) or all(map(_is_finite, value))


def _as_list(value: np.ndarray | np.generic) -> Json:
    return value.tolist()


def to_array(value: Json, tensor: Tensor, *, name: str) -> np.ndarray:
    """Returns the array of a value.

    Args:
        value: Nested lists of numbers, or a list of strings or of `{"b64": ...}`.
        tensor: What the signature takes.
        name: The input's, for messages.

    Raises:
        Refused: The value is no such thing.
    """
    if tensor.dtype == tf.string:
        if not isinstance(value, list):
            raise Refused(400, f'{name} must be a list of {{"{_BINARY}": ...}}.')
        check_strings(len(value), name=name)
        return objects([_to_bytes(element, name=name) for element in value])
    try:
        array = np.asarray(value)
    except ValueError as error:
        raise Refused(
            400, f"{name} is no array of numbers: send clips of one length in a request, as lists of equal lengths."
        ) from error
    return numbers(array, tensor, name=name)


def numbers(array: np.ndarray, tensor: Tensor, *, name: str) -> np.ndarray:
    """Returns numbers in the type that the signature takes.

    Raises:
        Refused: They are no numbers.
    """
    if array.dtype.kind not in "fiu":
        raise Refused(400, f"{name} must hold numbers alone, and lists of equal lengths.")
    with np.errstate(over="ignore"):  # Beyond float32 is Infinity, whose embedding is NaN.
        return array.astype(tensor.dtype.as_numpy_dtype, copy=False)


def check_strings(count: int, *, name: str) -> None:
    """Refuses an input of too many strings. Call it before the strings themselves are read.

    Raises:
        Refused: It has more than `MOST_STRINGS`.
    """
    if count > MOST_STRINGS:
        raise Refused(400, f"{name} has more than {MOST_STRINGS:,} elements: send fewer at a time.")


def objects(values: Sequence[bytes]) -> np.ndarray:
    """Returns bytes as an array of objects, which NumPy would otherwise cut at trailing zeros."""
    array = np.empty(len(values), object)
    array[:] = values
    return array


def from_base64(text: str, *, name: str) -> bytes:
    """Decodes base64, of which the padding may be missing, as TensorFlow Serving does.

    Raises:
        Refused: It is none.
    """
    try:
        altchars = b"-_" if "-" in text or "_" in text else None
        return base64.b64decode(text + "=" * (-len(text) % 4), altchars=altchars, validate=True)
    except (binascii.Error, ValueError) as error:
        raise Refused(400, f"{name} is not base64 ({error}).") from error


def to_json(array: np.ndarray, *, name: str) -> Json | np.ndarray:
    """Returns an output in the form that `dump` writes."""
    if array.dtype != object:
        return np.ascontiguousarray(array)
    is_binary = name.endswith(_BINARY_SUFFIX)
    return _texts(array.tolist(), is_binary=is_binary)


def _texts(value: bytes | list, *, is_binary: bool) -> Json:
    if isinstance(value, list):
        return [_texts(element, is_binary=is_binary) for element in value]
    return {_BINARY: base64.b64encode(value).decode()} if is_binary else value.decode(errors="replace")


def _to_bytes(element: Json, *, name: str) -> bytes:
    if isinstance(element, str):
        return element.encode(errors="surrogatepass")
    if isinstance(element, dict) and list(element) == [_BINARY] and isinstance(element[_BINARY], str):
        return from_base64(element[_BINARY], name=name)
    raise Refused(400, f'{name} must hold {{"{_BINARY}": ...}} with bytes in base64.')
