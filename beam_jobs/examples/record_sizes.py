"""The sizes of all stored clips, from which the place of each one in its file follows without reading the file.

`record_sizes.npz` holds them: for each split a uint32 array, with a number for each clip, in the order of the files. It
takes 8 MB for two million clips. Earlier versions wrote no such file; then the heads of all records are read instead.
"""

import base64
import concurrent.futures
import functools
import io
import zipfile
import zlib
from collections.abc import Mapping, Sequence

import numpy as np
from absl import logging
from etils import epath

from beam_jobs import storage
from beam_jobs.examples import check, tfrecord
from beam_jobs.examples.info import DamagedExamplesError, ExamplesInfo

FILE = "record_sizes.npz"

_FILES_AT_ONCE = 16
_MANY_CLIPS = 100_000
_UINT32 = np.dtype("<u4")


def pack(sizes: Sequence[int]) -> str:
    """Returns the sizes of the records of one file as a short text."""
    return base64.b64encode(zlib.compress(np.array(sizes, _UINT32).tobytes())).decode()


def unpack(text: str) -> np.ndarray:
    """Returns what `pack` got, uint32 (records,)."""
    return np.frombuffer(zlib.decompress(base64.b64decode(text)), _UINT32)


def write(directory: epath.PathLike, sizes: Mapping[str, Sequence[np.ndarray]]) -> None:
    """Writes the file with the sizes. The same sizes always give the same bytes.

    Args:
        directory: A folder of examples.
        sizes: Split -> for each of its files the sizes of its records in bytes.
    """
    buffer = io.BytesIO()
    np.savez(buffer, **{split: np.concatenate(files).astype(_UINT32) for split, files in sizes.items()})
    storage.write_bytes(epath.Path(directory) / FILE, buffer.getvalue())


def read(info: ExamplesInfo, split: str) -> np.ndarray:
    """Returns the sizes in bytes of all records of a split, in the order of its files, int64 (clips,).

    Raises:
        DamagedExamplesError: The file with the sizes is damaged. Or there is none, and a file of examples is missing,
            or does not hold its number of clips.
        OSError: A file cannot be read, which says nothing about its content.
    """
    sizes = written(info, split)
    return _scan(tuple(info.files(split)), info.shard_lengths[split]) if sizes is None else sizes


def written(info: ExamplesInfo, split: str) -> np.ndarray | None:
    """Returns what `read` does if there is a file with the sizes, else None.

    Raises:
        DamagedExamplesError: The file is damaged.
        OSError: It cannot be read, which says nothing about its content.
    """
    file = info.directory / FILE
    try:
        content = file.read_bytes()
    except FileNotFoundError:
        return None
    try:
        sizes = np.load(io.BytesIO(content))[split]
    except (ValueError, KeyError, EOFError, OSError, zipfile.BadZipFile) as error:
        raise DamagedExamplesError(file, "is damaged") from error
    if sizes.shape != (info.splits[split],):
        raise DamagedExamplesError(file, f"holds the sizes of {sizes.size:,} of {info.splits[split]:,} clips")
    return sizes.astype(np.int64)


@functools.lru_cache(maxsize=1)  # A training asks for them several times.
def _scan(paths: tuple[str, ...], lengths: tuple[int, ...]) -> np.ndarray:
    """Returns the sizes of the records of files, from the heads of the records, int64 (clips,), read-only."""
    if sum(lengths) >= _MANY_CLIPS:
        logging.warning(
            "%s is not there, so the places of %s clips are read from their files; examples that are written again "
            "(--force AudioExampleGen) have it",
            epath.Path(paths[0]).parent / FILE,
            f"{sum(lengths):,}",
        )
    with concurrent.futures.ThreadPoolExecutor(_FILES_AT_ONCE) as pool:
        sizes = np.concatenate(list(pool.map(_scan_file, paths, lengths)))
    sizes.flags.writeable = False
    return sizes


def _scan_file(path: str, clips: int) -> np.ndarray:
    with check.damage_named(path):
        sizes = tfrecord.sizes(epath.Path(path))
    check.check_count(path, count=len(sizes), clips=clips)
    return np.array(sizes, np.int64)
