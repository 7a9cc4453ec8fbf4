"""Keeps vectors as memory-mapped float16, because decoding a Parquet file takes longer than a search in it.

An index is a folder with these files, all of them in the order of the embeddings' rows:

    vectors.f16        float16 (rows, dim); each row is scaled by a power of two so that its largest value is near 1;
                       zeros if a vector is not finite
    norms.f32          float32 (rows,), lengths of these vectors; NaN if a vector is not finite
    files.i32          int32 (rows,), counts the files by their names: all rows of one file have the same number
    index.json         what it was made from, written last

Cosines do not depend on the scale, and a power of two changes no digit, so float16 vectors lose nothing.
"""

import contextlib
import dataclasses
import hashlib
import json
import os
import pathlib
import shutil
from collections.abc import Iterator

import numpy as np
from etils import epath

from beam_jobs import storage
from components import file_errors
from components.base import Progress
from components.errors import UserError
from pipeline import paths, unfinished
from pipeline.vectors.stored import StoredVectors

_VERSION = 3
_DESCRIPTION = "index.json"
_FILES = ("vectors.f16", "norms.f32", "files.i32")
_IN_MEMORY_BYTES = 2**26
"""Up to this size vectors are read anew for every search, which takes about a second, and no folder is written."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Index:
    """Vectors to search in.

    Attributes:
        vectors: float16 (rows, dim).
        norms: float32 (rows,), their lengths; NaN for a vector that is not finite.
        files: int32 (rows,), a number for each file.
        folder: Where it lies; None if it is in memory alone.
        is_new: Whether it was made by this call.
    """

    vectors: np.ndarray
    norms: np.ndarray
    files: np.ndarray
    folder: pathlib.Path | None = None
    is_new: bool = True


def load(stored: StoredVectors, *, cache: str = "", progress: Progress | None = None) -> Index:
    """Returns the index of embeddings: the one that an earlier call has left if they are unchanged, or a new one.

    Args:
        stored: The embeddings.
        cache: Folder for the index; by default a place beside a file, and the user's cache for a folder.
        progress: Receives the progress of writing an index.

    Raises:
        UserError: The embeddings are damaged, or the index cannot be written.
    """
    size = len(stored) * stored.dim * np.dtype(np.float16).itemsize
    if size <= _IN_MEMORY_BYTES and not cache:
        vectors, norms, files = map(np.concatenate, zip(*_blocks(stored, None), strict=True))
        return Index(vectors=vectors, norms=norms, files=files)
    source = _source(stored)
    folder = _folder(stored, source, cache=cache)
    if not _is_of(folder, source):
        _write(stored, folder, source=source, progress=progress)
        return _open(folder, stored, is_new=True)
    return _open(folder, stored, is_new=False)


def _source(stored: StoredVectors) -> dict[str, object]:
    """Returns what an index was made from: the files with their sizes and times, and the columns."""
    return {
        "version": _VERSION,
        "files": [[paths.absolute(str(file)), storage.size(file), _modified(file)] for file in stored.files],
        "columns": list(stored.columns),
        "rows": len(stored),
        "dim": stored.dim,
    }


def _modified(file: epath.Path) -> int:
    return storage.modified_s(file) if storage.is_remote(file) else os.stat(file).st_mtime_ns


def _folder(stored: StoredVectors, source: dict[str, object], *, cache: str) -> pathlib.Path:
    name = hashlib.sha256(json.dumps([source["files"][0][0], source["columns"]]).encode()).hexdigest()[:16]
    if cache:
        return pathlib.Path(cache) / name
    place = pathlib.Path(paths.absolute(stored.path))
    # A published folder stays as the Embedder wrote it.
    if not storage.is_remote(stored.path) and place.is_file() and os.access(place.parent, os.W_OK):
        return place.with_name(f"{place.name}.{'+'.join(stored.columns)}.search")
    users = os.environ.get("XDG_CACHE_HOME") or os.path.join(os.path.expanduser("~"), ".cache")
    return pathlib.Path(users, "diptych", "search", name)


def _is_of(folder: pathlib.Path, source: dict[str, object]) -> bool:
    try:
        return json.loads((folder / _DESCRIPTION).read_text()) == source
    except (OSError, ValueError):
        return False


def _open(folder: pathlib.Path, stored: StoredVectors, *, is_new: bool) -> Index:
    vectors, norms, files = (folder / name for name in _FILES)
    rows = len(stored)
    try:
        return Index(
            vectors=np.memmap(vectors, np.float16, mode="r", shape=(rows, stored.dim)),
            norms=np.memmap(norms, np.float32, mode="r", shape=(rows,)),
            files=np.memmap(files, np.int32, mode="r", shape=(rows,)),
            folder=folder,
            is_new=is_new,
        )
    except (OSError, ValueError) as error:
        raise UserError(f"the index {folder} is damaged ({error}): remove this folder") from error


def _write(
    stored: StoredVectors, folder: pathlib.Path, *, source: dict[str, object], progress: Progress | None
) -> None:
    """Writes an index beside its place, and moves it there when it is complete."""
    with file_errors.as_user_errors(place=str(folder)), contextlib.ExitStack() as stack:
        folder.parent.mkdir(parents=True, exist_ok=True)
        new = unfinished.place(folder)
        stack.callback(shutil.rmtree, new, ignore_errors=True)
        new.mkdir()
        with contextlib.ExitStack() as opened:
            # Written and not mapped, because a mapped file ends the process when the disk is full.
            files = [opened.enter_context(open(new / name, "wb")) for name in _FILES]
            for arrays in _blocks(stored, progress):
                for file, array in zip(files, arrays, strict=True):
                    file.write(np.ascontiguousarray(array).data)
        (new / _DESCRIPTION).write_text(json.dumps(source))
        if _is_of(folder, source):  # Another process wrote it meanwhile, and may be about to open it.
            return
        shutil.rmtree(folder, ignore_errors=True)
        with contextlib.suppress(OSError):  # Another process may have put its own there meanwhile.
            new.rename(folder)


def _blocks(stored: StoredVectors, progress: Progress | None) -> Iterator[tuple[np.ndarray, np.ndarray, np.ndarray]]:
    """Yields the content of the three files, some thousands of rows at a time."""
    rows, done = len(stored), 0
    numbers: dict[str, int] = {}  # A file that was embedded twice has rows in several places.
    for names, vectors in stored.blocks():
        firsts = np.flatnonzero(np.append(True, names[1:] != names[:-1]))
        files = [numbers.setdefault(name, len(numbers)) for name in names[firsts].tolist()]
        yield *scaled(vectors), np.repeat(np.array(files, np.int32), np.diff(np.append(firsts, len(names))))
        done += len(names)
        if progress is not None:
            progress.update(done, total=rows, unit="vectors")
    if done != rows:
        raise UserError(f"--embeddings {stored.path} holds {done:,} of its {rows:,} rows: write the embeddings again")


def scaled(vectors: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Scales vectors by powers of two to float16 with values up to 1.

    Args:
        vectors: float (rows, dim).

    Returns:
        float16 (rows, dim), zeros where a vector is not finite, and their lengths as float32 (rows,), NaN there.
    """
    values = vectors.astype(np.float32)
    largest = np.abs(values).max(axis=1, initial=0.0)
    is_finite = np.isfinite(largest)
    values[~is_finite] = 0.0  # NaN and infinity would be warned of, here and in every search.
    _, exponents = np.frexp(np.where(is_finite, largest, 1.0))
    halves = np.ldexp(values, -exponents[:, None]).astype(np.float16)
    wide = halves.astype(np.float32)
    norms = np.sqrt(np.einsum("ij,ij->i", wide, wide))
    return halves, np.where(is_finite, norms, np.nan).astype(np.float32)
