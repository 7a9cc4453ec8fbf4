"""Describes a folder of embeddings, in its file `embeddings.json`."""

import dataclasses
import json
import os
from collections.abc import Mapping
from typing import Literal

from etils import epath

from beam_jobs import storage
from beam_jobs.embedding.embedder import Framing

FILE = "embeddings.json"

RowKind = Literal["window", "clip"]
"""What a row holds: the vectors of a window, or their means over the windows of a clip."""


class DamagedEmbeddingsError(Exception):
    """A file of a folder of embeddings does not hold what was written. The message is one sentence that names it.

    Args:
        path: The file.
        what: What is wrong with it, e.g. "is missing".
    """

    def __init__(self, path: epath.PathLike, what: str):
        super().__init__(f"{os.fspath(path)} {what}: write the embeddings again (--force Embedder)")
        self.path = os.fspath(path)


@dataclasses.dataclass(frozen=True, kw_only=True)
class EmbedderInfo:
    """What a folder holds of one embedder.

    Attributes:
        digest: Of all that decides its vectors.
        framing: Its windows.
        dims: Name of each embedding -> size. The names are columns of its files.
        clips: Split -> number of clips.
        files: Split -> file name -> number of rows, in order. The rows of a clip are consecutive.
    """

    digest: str
    framing: Framing
    dims: Mapping[str, int]
    clips: Mapping[str, int]
    files: Mapping[str, Mapping[str, int]]


@dataclasses.dataclass(frozen=True, kw_only=True)
class EmbeddingsInfo:
    """What a folder of embeddings holds.

    Attributes:
        label_names: Class names in index order; empty for unlabeled audio.
        has_folds: Whether the clips carry official cross-validation folds, numbered from 1.
        splits: Split -> number of clips of the examples. An embedder may have embedded a sample of them.
        row: What a row holds.
        embedders: Name of the embedder, which is also that of its folder -> what it holds.
    """

    label_names: tuple[str, ...]
    has_folds: bool
    splits: Mapping[str, int]
    row: RowKind
    embedders: Mapping[str, EmbedderInfo]

    def write(self, folder: epath.PathLike) -> None:
        """Writes the file, which makes the folder whole. Write it last."""
        storage.write_text(epath.Path(folder) / FILE, json.dumps(dataclasses.asdict(self), indent=1))


def read_info(folder: epath.PathLike) -> EmbeddingsInfo:
    """Reads what a folder of embeddings holds, from its JSON file alone.

    Raises:
        FileNotFoundError: The folder has no such file.
        DamagedEmbeddingsError: The file is not what `EmbeddingsInfo.write` has written.
    """
    file = epath.Path(folder) / FILE
    try:
        fields = json.loads(file.read_bytes())
        embedders = {
            name: EmbedderInfo(**{**values, "framing": Framing(**values["framing"])})
            for name, values in fields["embedders"].items()
        }
        return EmbeddingsInfo(**{**fields, "label_names": tuple(fields["label_names"]), "embedders": embedders})
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise DamagedEmbeddingsError(file, f"is damaged ({type(error).__name__}: {error})") from error
