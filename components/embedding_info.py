"""Describes the embeddings of an exported SavedModel, in a JSON file inside its folder."""

import dataclasses
import json
import os
from collections.abc import Mapping

from beam_jobs import storage
from beam_jobs.embedding.embedder import Framing
from components.errors import DamagedFile

FILE = "assets.extra/embedding_info.json"
"""Path of the file inside the SavedModel's folder."""

NAME_IN_FILES = "embedding_info"
"""Under this name, a file for another runtime holds the same: ONNX among its metadata, LiteRT as a .json file."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class EmbeddingInfo:
    """What the caller of an exported SavedModel needs to know.

    Attributes:
        formats: Formats of branch A and branch B.
        dims: Name of each encoder's embedding -> its size.
        dim: Size of the concatenated embedding.
        sample_rate: Sample rate of the input, in Hz.
        crop_samples: Length of a sub-clip, in samples.
        stride_samples: Distance between the starts of consecutive sub-clips, in samples.
        input: Description of the input.
        signatures: Name of a signature -> name of an output -> its dtype and shape.
    """

    formats: tuple[str, ...]
    dims: Mapping[str, int]
    dim: int
    sample_rate: int
    crop_samples: int
    stride_samples: int
    input: str
    signatures: Mapping[str, Mapping[str, str]]

    @property
    def framing(self) -> Framing:
        """The sub-clips of a sound."""
        return Framing(sample_rate=self.sample_rate, window_samples=self.crop_samples, hop_samples=self.stride_samples)

    def to_json(self) -> str:
        """Returns the content of the file."""
        return json.dumps(dataclasses.asdict(self), indent=2)

    def write(self, saved_model: str | os.PathLike[str]) -> None:
        """Writes the file into a SavedModel's folder."""
        path = storage.open_path(saved_model) / FILE
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(self.to_json())

    @classmethod
    def read(cls, saved_model: str | os.PathLike[str]) -> "EmbeddingInfo":
        """Reads the file in a SavedModel's folder. Fields that this version does not know are ignored.

        Raises:
            FileNotFoundError: The folder has no such file, e.g. because another program exported the model.
            DamagedFile: The file is not what `write` has written.
        """
        file = storage.open_path(saved_model) / FILE
        return cls.from_json(file.read_bytes(), source=os.fspath(file))

    @classmethod
    def from_json(cls, content: str | bytes, *, source: str) -> "EmbeddingInfo":
        """Parses what `to_json` returned. Fields that this version does not know are ignored.

        Args:
            content: The JSON.
            source: The file that holds it.

        Raises:
            DamagedFile: It is something else.
        """
        try:
            values = json.loads(content)
            info = cls(**{field.name: values[field.name] for field in dataclasses.fields(cls)})
            return dataclasses.replace(info, formats=tuple(info.formats))
        except (KeyError, TypeError, ValueError) as error:
            raise DamagedFile(f"{source} is damaged ({type(error).__name__}: {error})", path=source) from error
