"""Reads the weights in a file that `torch.save` wrote, without torch and without running code from the file.

Torch has two formats: a zip archive (since torch 1.6), and a sequence of pickles followed by the raw numbers.
"""

import os
import pickle
import struct
import zipfile
from collections import OrderedDict
from collections.abc import Mapping
from typing import IO, Any, NamedTuple

import numpy as np

from components.errors import UserError

_ZIP_START = b"PK\x03\x04"
_PICKLES_START = pickle.dumps(0x1950A86A20F9469CFC6C, protocol=2)  # The magic number of torch's older format.
_DTYPES = {
    "DoubleStorage": "<f8",
    "FloatStorage": "<f4",
    "HalfStorage": "<f2",
    "LongStorage": "<i8",
    "IntStorage": "<i4",
    "ShortStorage": "<i2",
    "CharStorage": "i1",
    "ByteStorage": "u1",
    "BoolStorage": "?",
}


class _Storage(NamedTuple):
    """A block of numbers in the file, which several tensors may share."""

    key: str
    dtype: np.dtype


class _Tensor(NamedTuple):
    """A view of a storage. Offset and strides are counted in numbers, not bytes."""

    storage: _Storage
    offset: int
    shape: tuple[int, ...]
    strides: tuple[int, ...]


class _Rejected(Exception):
    """The file cannot be used. The message continues a sentence that starts with the file's name."""


def read_weights(path: str | os.PathLike) -> dict[str, np.ndarray]:
    """Reads a state dict, either the whole content of the file or under the key `model`, where PANNs puts it.

    Returns:
        Tensor name -> array, in the order of the file.

    Raises:
        UserError: The file does not exist, torch did not write it, it is damaged, or it holds objects other than
            weights. Such objects could run code when they are unpickled.
    """
    try:
        with open(path, "rb") as file:
            content, storages = _read(file)
        state = content.get("model", content) if isinstance(content, Mapping) else {}
        tensors = {name: value for name, value in state.items() if isinstance(value, _Tensor)}
        if not tensors:
            names = ", ".join(str(name) for name in state) or type(content).__name__
            raise _Rejected(f"holds no network's weights, but {names}")
        return {name: _array(tensor, storages[tensor.storage.key]) for name, tensor in tensors.items()}
    except _Rejected as error:
        raise UserError(f"{path} {error}.") from error
    except OSError as error:
        raise UserError(f"{path} cannot be read ({error.strerror}): name a .pth file.") from error
    except Exception as error:  # Unpickling damaged bytes can raise any exception.
        raise UserError(f"{path} is damaged or cut short: download it again.") from error


def _read(file: IO[bytes]) -> tuple[Any, dict[str, bytes]]:
    """Reads a file of either format.

    Returns:
        The saved object, with a `_Tensor` in place of each tensor, and the bytes of each storage by its key.
    """
    start = file.read(16)
    file.seek(0)
    if start.startswith(_ZIP_START):
        return _read_zip(file)
    if start.startswith(_PICKLES_START):
        return _read_pickles(file)
    raise _Rejected(f"was not written by torch, it begins with {start!r}: name a .pth file, or download it again")


def _read_zip(file: IO[bytes]) -> tuple[Any, dict[str, bytes]]:
    with zipfile.ZipFile(file) as archive:
        suffix = "/data.pkl"
        roots = [name.removesuffix(suffix) for name in archive.namelist() if name.endswith(suffix)]
        if not roots:
            raise _Rejected("was not written by torch, it is an archive of something else: name a .pth file")
        root = roots[0]
        with archive.open(root + suffix) as stream:
            unpickler = _Unpickler(stream)
            content = unpickler.load()
        return content, {key: archive.read(f"{root}/data/{key}") for key in unpickler.storages}


def _read_pickles(file: IO[bytes]) -> tuple[Any, dict[str, bytes]]:
    for _ in ("magic number", "version", "machine"):
        _Unpickler(file).load()
    unpickler = _Unpickler(file)
    content = unpickler.load()
    storages = {}
    for key in _Unpickler(file).load():
        (size,) = struct.unpack("<q", file.read(8))
        storages[key] = file.read(size * unpickler.storages[key].dtype.itemsize)
    return content, storages


def _array(tensor: _Tensor, storage: bytes) -> np.ndarray:
    """Returns the numbers of a tensor as a read-only view of its storage.

    Raises:
        ValueError: The tensor would reach outside its storage.
    """
    flat = np.frombuffer(storage, tensor.storage.dtype)
    last = tensor.offset + sum((size - 1) * stride for size, stride in zip(tensor.shape, tensor.strides, strict=True))
    is_empty = 0 in tensor.shape
    if min((tensor.offset, *tensor.shape, *tensor.strides)) < 0 or (not is_empty and last >= flat.size):
        raise ValueError(f"{tensor} is not inside {flat.size} numbers")
    byte_strides = [stride * flat.itemsize for stride in tensor.strides]
    return np.lib.stride_tricks.as_strided(flat[tensor.offset :], tensor.shape, byte_strides, writeable=False)


class _Unpickler(pickle.Unpickler):
    """Unpickles containers and plain values, and a `_Tensor` in place of each tensor. It rejects all other objects."""

    def __init__(self, file: IO[bytes]):
        super().__init__(file)
        self.storages: dict[str, _Storage] = {}

    def find_class(self, module: str, name: str) -> Any:
        # The functions are new on every call, because a pickle can set attributes on what it is given.
        if (module, name) == ("collections", "OrderedDict"):
            return OrderedDict
        if (module, name) == ("torch._utils", "_rebuild_tensor_v2"):
            return lambda storage, offset, shape, strides, *_: _Tensor(storage, offset, shape, strides)
        if (module, name) == ("torch._utils", "_rebuild_parameter"):
            return lambda tensor, *_: tensor
        if module == "torch" and name in _DTYPES:
            return _DTYPES[name]
        if module.split(".")[0] == "numpy" or (module, name) == ("_codecs", "encode"):
            return _Skipped
        raise _Rejected(
            f"holds {module}.{name}, which is not opened: name a file that holds plain numbers only, e.g. one that "
            "PANNs published"
        )

    def persistent_load(self, pid: tuple) -> _Storage:
        _, dtype, key, *_ = pid
        self.storages[key] = _Storage(key, np.dtype(dtype))
        return self.storages[key]


class _Skipped:
    """Stands for NumPy arrays and scalars, which PANNs' checkpoints may hold beside the weights."""

    def __init__(self, *_: Any):
        pass

    def __setstate__(self, _: Any) -> None:
        pass
