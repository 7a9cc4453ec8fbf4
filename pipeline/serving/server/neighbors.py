"""Finds the nearest among stored embeddings: those of `--index`."""

import dataclasses
import os
import re
from collections.abc import Mapping

import numpy as np

from beam_jobs import storage
from components.errors import UserError
from pipeline.serving.server.limits import Refused
from pipeline.serving.server.served import ServedVersion
from pipeline.vectors import index, models, nearest
from pipeline.vectors.stored import Places, open_vectors

_MOST = 10
_SPELLED_BYTE = re.compile(rb"\\x([89a-f][0-9a-f])")
"""What `diptych embed` writes for a byte of a name that is not UTF-8."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Neighbor:
    """A stored embedding that is near.

    Attributes:
        row: Its number among the stored ones.
        name: The file, or the clip's id.
        cosine: How near it is.
        start_s: Where it begins in the file, in seconds.
        end_s: Where it ends.
        has_sound: Whether `Neighbors.place` finds its file.
    """

    row: int
    name: str
    cosine: float
    start_s: float
    end_s: float
    has_sound: bool


@dataclasses.dataclass(frozen=True, kw_only=True)
class Place:
    """A part of a file, in seconds."""

    path: str
    start_s: float
    end_s: float


class Neighbors:
    """Searches among stored embeddings. Its methods may be called from any thread.

    Args:
        path: What `diptych search --embeddings` takes.
        features: See there.
        version: The model that made them.

    Raises:
        UserError: There are no such embeddings, or another model made them.
    """

    def __init__(self, path: str, *, features: str, version: ServedVersion):
        try:
            self._stored = open_vectors(path, features=features)
            self._state = self._stored.state()
            models.check_made(self._stored, model=version.place)
            self._index = index.load(self._stored)
        except UserError as error:  # The commands for embeddings call this flag otherwise.
            raise UserError(str(error).replace("--embeddings", "--index")) from error
        if self._has_changed():
            raise UserError(f"--index {path} was written while the server read it: start the server again.")
        self._digest = version.digest
        self._columns = models.columns(version.info.dims, stored=self._stored)

    def find(self, version: ServedVersion, vectors: Mapping[str, np.ndarray]) -> list[Neighbor]:
        """Finds the nearest 10, of each file only the nearest one.

        Args:
            version: The model that made the vectors.
            vectors: Name of an embedding -> float (dim,).

        Raises:
            Refused: Another model made the stored embeddings, they have changed, or nothing is near to the vectors.
        """
        if version.digest != self._digest:
            raise Refused(
                409,
                f"Version {version.number} of the model did not make the embeddings of --index: embed the sounds again "
                "and restart the server.",
            )
        query = np.concatenate([vectors[name] for name in self._columns])
        if not np.isfinite(query).all() or not query.any():
            raise Refused(409, "The embedding is zero or not finite, so nothing is near to it.")
        (found,) = nearest.search(self._index, query[None], k=_MOST, one_per_file=True)
        places = self._places(found.rows)
        return [
            Neighbor(
                row=int(row),
                name=places.names[rank],
                cosine=float(cosine),
                start_s=float(places.start_s[rank]),
                end_s=float(places.end_s[rank]),
                has_sound=self._locate(places.names[rank]) is not None,
            )
            for rank, (row, cosine) in enumerate(zip(found.rows, found.cosines, strict=True))
        ]

    def place(self, row: int) -> Place:
        """Returns the file of a stored embedding, and what of it was embedded.

        Raises:
            Refused: There is no such row, the embeddings name no files, they have changed, or the file is missing.
        """
        if row >= len(self._stored) or not self._has_files:
            raise Refused(404, f"The embeddings of --index have no file for the row {row}.")
        places = self._places(np.array([row]))
        path = self._locate(places.names[0])
        if path is None:
            raise Refused(404, f"The file of the row {row} of --index is missing.")
        return Place(path=path, start_s=float(places.start_s[0]), end_s=float(places.end_s[0]))

    def _places(self, rows: np.ndarray) -> Places:
        """Returns what rows are of. The vectors are those of the start, and the files are opened anew."""
        try:
            places = self._stored.places(rows)
        except UserError as error:
            raise _changed() from error
        if self._has_changed():  # Asked last, because the files may change while they are read.
            raise _changed()
        return places

    def _has_changed(self) -> bool:
        try:
            return self._stored.state() != self._state
        except OSError:
            return True

    def _locate(self, name: str) -> str | None:
        """Returns the path of the file that a row names, or None if there is none, or it could be either of two."""
        if not self._has_files:
            return None
        if storage.is_remote(name):  # It is not asked for, because that takes a request.
            return name
        spellings = {name, _with_bytes(name)}
        found = [path for path in (os.path.join(self._stored.folder, one) for one in spellings) if os.path.isfile(path)]
        return found[0] if len(found) == 1 else None

    @property
    def _has_files(self) -> bool:
        return self._stored.name_column == "file"


def _with_bytes(name: str) -> str:
    """Returns a name with the bytes that it spells. A name that holds such a text itself looks the same."""
    return os.fsdecode(_SPELLED_BYTE.sub(lambda match: bytes([int(match[1], 16)]), os.fsencode(name)))


def _changed() -> Refused:
    return Refused(409, "The embeddings of --index have changed since the server started: restart the server.")
