"""Describes the embeddings of an exported SavedModel, in a JSON file inside its folder."""

import dataclasses
import io
import json
import os
import pathlib
import zipfile
from collections.abc import Mapping
from typing import TYPE_CHECKING

from beam_jobs import storage
from beam_jobs.embedding.embedder import Framing
from components.errors import DamagedFile

if TYPE_CHECKING:
    from etils import epath

FILE = "assets.extra/embedding_info.json"
"""Path of the file inside the SavedModel's folder."""

NAME_IN_FILES = "embedding_info"
"""Under this name, a file for another runtime holds the same: ONNX among its metadata, LiteRT as a .json file."""

_IN_TFLITE = f"{NAME_IN_FILES}.json"
"""A `.tflite` file ends with a zip archive of what belongs to it, a convention of TFLite. This is its file."""

ASSET = "assets/embedding_info.json"
"""Path of its copy, which is there also where a host has removed `assets.extra`."""

EVALUATION = "assets.extra/evaluation.json"
"""Path of the Evaluator's `metrics.json` inside a SavedModel that the Pusher copied: the Exporter cannot know it."""

VERSION = 2
"""Version of the SavedModel's interface. Version 1 had the signatures `serving_default` and `windows` only."""


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
        version: See `VERSION`. SavedModels of version 1 lack this field and all below.
        frame_hop_samples: Distance between two frames of the signature `frames`, in samples.
        made_by: Name of a package that exported the model -> its version.
        model: The model's config: architecture, front ends, augmentations.
        training: The record of its training: steps, loss, the Trainer's config, and under `data` the clips, with the
            layout of their source and their digest. A model that was imported says where it comes from instead.
        scores: Name of a metric -> its value that chose the model in validation: `probe_accuracy`, `probe_mAP` or, if
            there were too few labels for a probe, `loss`. Empty without validation. The Evaluator scores the exported
            model later; see `EVALUATION`.
        license: The license under which the model may be used, None as long as none was chosen.
        golden_sha256: Digest of the golden vectors, see `components.exporter.golden`.
    """

    formats: tuple[str, ...]
    dims: Mapping[str, int]
    dim: int
    sample_rate: int
    crop_samples: int
    stride_samples: int
    input: str
    signatures: Mapping[str, Mapping[str, str]]
    version: int = 1
    frame_hop_samples: int | None = None
    made_by: Mapping[str, str] = dataclasses.field(default_factory=dict)
    model: Mapping[str, object] = dataclasses.field(default_factory=dict)
    training: Mapping[str, object] = dataclasses.field(default_factory=dict)
    scores: Mapping[str, float] = dataclasses.field(default_factory=dict)
    license: str | None = None
    golden_sha256: str | None = None

    @property
    def framing(self) -> Framing:
        """The sub-clips of a sound."""
        return Framing(sample_rate=self.sample_rate, window_samples=self.crop_samples, hop_samples=self.stride_samples)

    def to_json(self) -> str:
        """Returns the content of the file."""
        return json.dumps(dataclasses.asdict(self), indent=2)

    def write(self, saved_model: str | os.PathLike[str]) -> None:
        """Writes the file and its copy into a SavedModel's folder."""
        for name in (FILE, ASSET):
            path = storage.open_path(saved_model) / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(self.to_json())

    @classmethod
    def read(cls, saved_model: str | os.PathLike[str]) -> "EmbeddingInfo":
        """Reads the file in a SavedModel's folder, or its copy if the file is not there.

        Fields that this version does not know are ignored, and those that an earlier version did not know get defaults.

        Raises:
            FileNotFoundError: The folder has no such file, e.g. because another program exported the model.
            DamagedFile: The file is not what `write` has written.
        """
        file = _file_in(saved_model)
        return cls.from_json(file.read_bytes(), source=os.fspath(file))

    @classmethod
    def from_json(cls, content: str | bytes, *, source: str) -> "EmbeddingInfo":
        """Parses what `to_json` returned; see `read` for fields that are unknown or missing.

        Args:
            content: The JSON.
            source: The file that holds it.

        Raises:
            DamagedFile: It is something else.
        """
        try:
            values = json.loads(content)
            info = cls(**{field.name: values[field.name] for field in dataclasses.fields(cls) if field.name in values})
            return dataclasses.replace(info, formats=tuple(info.formats))
        except (KeyError, TypeError, ValueError) as error:
            raise DamagedFile(f"{source} is damaged ({type(error).__name__}: {error})", path=source) from error


def in_tflite(content: bytes, *, source: str) -> EmbeddingInfo | None:
    """Reads the info at the end of a `.tflite` file, which shows that the file is whole, too.

    Args:
        content: The file's content.
        source: The file, for errors.

    Returns:
        The info, or None if there is none: the file was cut short, or another program wrote it.

    Raises:
        DamagedFile: It is not what Diptych has written.
    """
    try:
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            info = archive.read(_IN_TFLITE)
    except (zipfile.BadZipFile, KeyError):
        return None
    return EmbeddingInfo.from_json(info, source=source)


def is_in(folder: str | os.PathLike[str]) -> bool:
    """Returns whether a folder holds the file, so that Diptych exported the SavedModel there."""
    return _file_in(folder).exists()


def _file_in(folder: str | os.PathLike[str]) -> "pathlib.Path | epath.Path":
    """Returns the file in a folder, or its copy if only that is there."""
    file, copy = (storage.open_path(folder) / name for name in (FILE, ASSET))
    return copy if not file.exists() and copy.exists() else file
