"""Loads a `.tflite` or `.onnx` file that the Exporter wrote, as `diptych.load` does."""

import dataclasses
import functools
import os

from etils import epath

from beam_jobs import storage
from beam_jobs.embedding.embedder import TRAINED, Embedder
from components.embedding_info import EmbeddingInfo
from components.errors import UserError
from diptych import runtimes
from diptych.runtimes.window_embedder import WindowEmbedder
from pipeline import checksums


@dataclasses.dataclass(frozen=True)
class ExportedFile:
    """A `beam_jobs.embedding.embedder.Loader` of a model that is one file. It imports no TensorFlow.

    Attributes:
        file: The file.
    """

    file: str
    name: str = TRAINED

    def check(self) -> None:
        """Loads it, and compares it with its checksum if it lies in the SavedModel's folder.

        Raises:
            UserError: It is missing or damaged, not the Exporter's, or its runtime is not installed.
        """
        _ = self.runtime
        path = epath.Path(os.path.abspath(self.file))
        saved_model = path.parent.parent
        name = f"{path.parent.name}/{path.name}"
        if checksums.altered_file(saved_model, budget=0, suspect=name) == name:
            raise UserError(f"--model: {self.file} is not as the Exporter wrote it: copy it again.")

    @property
    def source(self) -> str:
        """The file."""
        return self.file

    def library(self) -> str:
        try:
            return runtimes.library(self.file)
        except UserError as error:
            raise UserError(f"--model: {error}") from error

    def digest(self) -> str:
        return storage.file_digest(epath.Path(self.file)).sha256

    def info(self) -> EmbeddingInfo:
        return self.runtime.info

    def load(self) -> Embedder:
        return WindowEmbedder(self.runtime, dims=dict(self.runtime.info.dims))

    @functools.cached_property
    def runtime(self) -> runtimes.Runtime:
        """The file, which is loaded once.

        Raises:
            UserError: See `check`.
        """
        try:
            return runtimes.load(self.file)
        except UserError as error:
            raise UserError(f"--model: {error}") from error
