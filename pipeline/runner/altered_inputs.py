"""Explains the failure of a stage by a file among its inputs that was altered after it was written."""

import contextlib
import dataclasses
import os
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence

from absl import logging
from etils import epath

from beam_jobs import google_storage
from components import file_errors, passing_errors
from components.base import ArtifactType
from components.errors import DamagedFile
from pipeline import checksums, listings
from pipeline.metadata.executions import Artifact
from pipeline.runner.graph import Node

_CORPORA = (ArtifactType.AUDIO_CLIPS, ArtifactType.EXAMPLES)
"""Too large to be hashed before every stage. Their readers find damage: TFRecords have checksums of their own."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Input:
    """What a stage reads.

    Attributes:
        folder: A published folder.
        type: What it holds.
        writer: The stage that wrote it.
        listing: See `pipeline.listings.describe`.
        reports: Names of files that only people read, and may have edited.
    """

    folder: epath.Path
    type: ArtifactType
    writer: str
    listing: str
    reports: frozenset[str]

    def is_certainly_intact(self) -> bool:
        """Returns whether checksums of the service say that nothing was altered. It takes no request for each file."""
        if not google_storage.is_used_for(self.folder):
            return False
        return bool(listings.is_as_described(self.listing, listings.in_bucket(self.folder), reports=self.reports))


def of(node: Node, artifacts: Mapping[str, Artifact], *, channels: Collection[str]) -> list[Input]:
    """Returns what other stages have written for some of the input channels of a stage."""
    return [
        Input(
            folder=artifacts[name].folder,
            type=node.component.inputs[name],
            writer=source.stage,
            listing=artifacts[name].listing,
            reports=source.reports,
        )
        for name, source in node.inputs.items()
        if name in channels
    ]


@contextlib.contextmanager
def explained(inputs: Sequence[Input], *, say: Callable[[str], None]) -> Iterator[None]:
    """Compares inputs with what was published: all but corpora before the block, and all if an error ends it.

    A folder that was altered is marked, so that the stage that wrote it runs again. Errors that the user can correct
    pass at once, because they have another cause.

    Args:
        inputs: What the block reads.
        say: Called with a sentence when the inputs are read because of an error, which may take a while.

    Raises:
        DamagedFile: A file was altered. Its cause is the error in the block, if there was one.
    """
    for read in inputs:
        if read.type in _CORPORA or read.is_certainly_intact():
            continue
        name = checksums.altered_file(read.folder, budget=checksums.INPUT_BYTES)
        if name:
            raise _altered(read, name)
    try:
        yield
    except Exception as error:
        has_other_cause = file_errors.as_user_error(error, place="") is not None or passing_errors.may_pass(error)
        if has_other_cause and not isinstance(error, DamagedFile):
            raise
        if inputs:
            say("it fails; looking whether one of its inputs was altered")
        for read in inputs:
            name = _altered_file(read, error)
            if name:
                raise _altered(read, name) from error
        raise


def _altered(read: Input, name: str) -> DamagedFile:
    """Marks a folder as altered and returns the error that says so."""
    checksums.mark_as_altered(read.folder, name)
    file = read.folder / name
    what = "was altered" if file.exists() else "was removed"
    way_out = f"run the same command again (without --from), and {read.writer} runs again"
    return DamagedFile(f"{file} {what} after {read.writer} wrote it: {way_out}.", path=os.fspath(file))


def _altered_file(read: Input, error: Exception) -> str | None:
    """Returns the altered file of an input, or None if there is none or the input cannot be read."""
    suspect = _name_in(read.folder, error)
    is_trusted = read.type in _CORPORA and not suspect
    budget = checksums.CORPUS_BYTES if is_trusted else checksums.SEARCH_BYTES
    try:
        name = checksums.altered_file(read.folder, budget=budget, suspect=suspect)
        # Without a checksum, e.g. under a root of an older version, the reader's word counts.
        return name or (suspect if suspect and not checksums.has(read.folder, suspect) else None)
    except Exception as second_error:  # Remote file systems raise errors of many types, and the first error is told.
        logging.info("%s cannot be compared with its checksums: %s", read.folder, second_error)
        return None


def _name_in(folder: epath.Path, error: Exception) -> str:
    """Returns the relative name of the file in a folder that an error calls damaged, or ""."""
    prefix = f"{os.fspath(folder)}/"
    if not isinstance(error, DamagedFile) or not error.path.startswith(prefix):
        return ""
    return error.path.removeprefix(prefix)
