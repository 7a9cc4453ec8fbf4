"""Explains the failure of a stage by a file among its inputs that was altered after it was written."""

import contextlib
import os
import re
from collections.abc import Iterator, Mapping

from absl import logging
from etils import epath

from components.errors import DamagedFile, UserError
from pipeline import checksums


@contextlib.contextmanager
def explained(writers: Mapping[epath.Path, str], *, way_out: str) -> Iterator[None]:
    """Compares input folders with what was published: in part before the block, and in whole if an error ends it.

    A folder that was altered is marked, so that the stage that wrote it runs again. Errors that the user can correct
    pass unchanged, because they have another cause.

    Args:
        writers: Input folder -> the stage that wrote it.
        way_out: What the user is told to do. `{stage}` stands for the stage that wrote the altered file.

    Raises:
        DamagedFile: A file was altered. Its cause is the error in the block, if there was one.
    """
    for folder, stage in writers.items():
        name = checksums.altered_file(folder, budget=checksums.INPUT_BYTES)
        if name:
            raise _damaged(folder, name, stage=stage, way_out=way_out)
    try:
        yield
    except Exception as error:
        if isinstance(error, UserError) and not isinstance(error, DamagedFile):
            raise
        for folder, stage in writers.items():
            name = _altered_file(folder, error)
            if name:
                raise _damaged(folder, name, stage=stage, way_out=way_out) from error
        raise


def _damaged(folder: epath.Path, name: str, *, stage: str, way_out: str) -> DamagedFile:
    """Marks a folder as altered and returns the error that says so."""
    checksums.mark_as_altered(folder, name)
    what = "was altered" if (folder / name).exists() else "was removed"
    return DamagedFile(f"{folder / name} {what} after {stage} wrote it: {way_out.format(stage=stage)}.")


def _altered_file(folder: epath.Path, error: Exception) -> str | None:
    """Returns the altered file of a folder, or None if there is none or the folder cannot be read."""
    logging.info("reading %s to see whether it was altered", folder)
    with contextlib.suppress(OSError):
        name = checksums.altered_file(folder, budget=checksums.SEARCH_BYTES, suspects=str(error))
        if name:
            return name
    if isinstance(error, DamagedFile):
        # The folder has no checksums, or the file was damaged before they were taken.
        named = re.search(re.escape(f"{os.fspath(folder)}/") + r"([^\s:;,']+)", str(error))
        return named and named[1].rstrip(".")
    return None
