"""Writes NumPy archives larger than memory. `numpy.savez` needs whole arrays."""

import zipfile
from collections.abc import Callable, Iterable, Sequence
from typing import BinaryIO

import numpy as np


class Archive:
    """A `.npz` file that is being written. Use it as a context manager.

    Args:
        file: Open for writing.
    """

    def __init__(self, file: BinaryIO):
        self._zip = zipfile.ZipFile(file, "w", zipfile.ZIP_STORED, allowZip64=True)

    def __enter__(self) -> "Archive":
        return self

    def __exit__(self, *_: object) -> None:
        self._zip.close()

    def add(self, name: str, blocks: Iterable[np.ndarray], *, shape: tuple[int, ...], dtype: np.dtype) -> None:
        """Adds an array.

        Args:
            name: Its name.
            blocks: Its consecutive blocks.
            shape: Of the whole array, because it precedes the blocks.
            dtype: Of the blocks.
        """
        # Opened by its name, a member has the same time stamp in every archive.
        with self._zip.open(f"{name}.npy", "w", force_zip64=True) as member:
            header = {"descr": np.lib.format.dtype_to_descr(dtype), "fortran_order": False, "shape": shape}
            np.lib.format.write_array_header_1_0(member, header)
            for block in blocks:
                member.write(block.astype(dtype, copy=False).tobytes())

    def add_texts(self, name: str, blocks: Callable[[], Iterable[Sequence[str]]], *, rows: int) -> None:
        """Adds an array of texts, all of which take the room of the longest one.

        Args:
            name: Its name.
            blocks: Returns its consecutive blocks. It is called twice.
            rows: Number of texts.
        """
        longest = max(len(text) for block in blocks() for text in block)
        dtype = np.dtype(f"<U{max(1, longest)}")
        self.add(name, (np.array(block, dtype) for block in blocks()), shape=(rows,), dtype=dtype)
