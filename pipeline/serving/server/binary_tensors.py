"""Tensors that follow the JSON of a request or an answer as bytes: Triton's extension of the Open Inference Protocol.

Numbers then cost nothing to parse. The header tells the length of the JSON, and in the JSON the parameter
`binary_data_size` of each such tensor tells the length of its bytes, in the order of the tensors. Numbers are
little-endian; each element of a tensor of bytes follows its length, a uint32.
"""

import struct
from collections.abc import Sequence

import numpy as np
from starlette.responses import Response

from pipeline.serving.server import tensors
from pipeline.serving.server.limits import Refused
from pipeline.serving.server.service import Whole

EXTENSION = "binary_tensor_data"
HEADER = "inference-header-content-length"
SIZE = "binary_data_size"

_LENGTH = struct.Struct("<I")
_MOST_DIGITS = 18


def split(body: bytes, json_length: str | None) -> tuple[bytes, memoryview]:
    """Returns the JSON of a request, and the bytes that follow it.

    Args:
        body: The body.
        json_length: The header; None without one.

    Raises:
        Refused: The header is wrong.
    """
    if json_length is None:
        return body, memoryview(b"")
    is_number = json_length.isascii() and json_length.isdigit() and len(json_length) <= _MOST_DIGITS
    if not is_number or int(json_length) > len(body):
        raise Refused(400, f"{HEADER} is {json_length}, and the body has {len(body):,} bytes.")
    length = int(json_length)
    return body[:length], memoryview(body)[length:]


def read(content: memoryview, size: object, *, dtype: np.dtype | None, name: str) -> tuple[np.ndarray, memoryview]:
    """Reads a tensor.

    Args:
        content: Where it begins.
        size: Its length in bytes.
        dtype: Type of its elements; None for bytes.
        name: The input's, for messages.

    Returns:
        The elements in one dimension, and what follows.

    Raises:
        Refused: The bytes are not there, or are no such tensor.
    """
    if type(size) is not int:
        raise Refused(400, f"{SIZE} of {name} must be a number of bytes, not {size!r}.")
    if not 0 <= size <= len(content):
        raise Refused(400, f"{SIZE} of {name} is {size}, and {len(content):,} bytes are left of the body.")
    own, rest = content[:size], content[size:]
    if dtype is None:
        return tensors.objects(_elements(own, name=name)), rest
    if size % dtype.itemsize:
        raise Refused(400, f"{SIZE} of {name} is {size}, which is no number of {dtype} values.")
    return np.frombuffer(own, dtype.newbyteorder("<")), rest


def answer(document: dict[str, object], outputs: Sequence[tuple[dict[str, object], np.ndarray, bool]]) -> Response:
    """Returns an answer some of whose tensors follow the JSON.

    Args:
        document: The answer without its outputs.
        outputs: Of each output its name, datatype and shape; its values; and whether they follow the JSON.
    """
    described, contents = [], []
    for head, array, is_binary in outputs:
        if is_binary:
            content = _content(array)
            contents.append(content)
            described.append({**head, "parameters": {SIZE: len(content)}})
        else:
            described.append({**head, "data": tensors.to_json(array.reshape(-1), name="")})
    text = tensors.dump({**document, "outputs": described})
    headers = {HEADER: str(len(text))}
    return Whole(b"".join([text, *contents]), media_type="application/octet-stream", headers=headers)


def _content(array: np.ndarray) -> bytes:
    if array.dtype != object:
        return array.astype(array.dtype.newbyteorder("<"), copy=False).tobytes()
    return b"".join(_LENGTH.pack(len(element)) + element for element in array.ravel())


def _elements(content: memoryview, *, name: str) -> list[bytes]:
    elements = []
    position = 0
    while position < len(content):
        if position + _LENGTH.size > len(content):
            raise Refused(400, f"The bytes of {name} break off in a length.")
        tensors.check_strings(len(elements) + 1, name=name)
        (length,) = _LENGTH.unpack_from(content, position)
        position += _LENGTH.size
        if position + length > len(content):
            raise Refused(400, f"The bytes of {name} break off in an element.")
        elements.append(bytes(content[position : position + length]))
        position += length
    return elements
