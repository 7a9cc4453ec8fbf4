"""A model on a server, in the form in which `diptych embed` takes models."""

import dataclasses
from collections.abc import Mapping

import numpy as np

from beam_jobs import storage
from beam_jobs.embedding.embedder import TRAINED, Embedder
from components.embedding_info import EmbeddingInfo
from components.errors import UserError
from pipeline.serving.client import servers
from pipeline.serving.client.servers import Described, Server


@dataclasses.dataclass(frozen=True)
class RemoteModel:
    """A `beam_jobs.embedding.embedder.Loader` of one version of a model on a server.

    Attributes:
        server: The server.
        version: The version, which all calls name, so that a change of versions mixes no embeddings.
        saved_model: A copy of the SavedModel, for servers that tell nothing of the model; None without one.
    """

    server: Server
    version: int
    saved_model: str | None = None
    name: str = TRAINED

    @property
    def source(self) -> str:
        """The model, for messages."""
        return f"version {self.version} of {self.server.name} at {self.server.url}"

    def library(self) -> str:
        """Returns nothing that differs: the server's digest has its version, and what runs it there is unknown."""
        return "a server"

    def digest(self) -> str:
        return storage.text_digest(f"{self.server.url}\0{self.server.name}\0{self.version}")

    def load(self) -> Embedder:
        return RemoteEmbedder(self.server, version=self.version, described=self._described())

    def _described(self) -> Described:
        if self.saved_model:
            try:
                info = EmbeddingInfo.read(self.saved_model)
            except (FileNotFoundError, NotADirectoryError) as error:
                raise UserError(f"--info {self.saved_model} is not a SavedModel from Diptych: give another.") from error
            return Described(framing=info.framing, dims=info.dims)
        described = self.server.described(self.version)
        if described is None:
            raise UserError(
                f"--server {self.server.url} does not tell the model's sample rate and windows: give the SavedModel, "
                "or a copy of it without its variables, with --info."
            )
        return described


class RemoteEmbedder:
    """A `beam_jobs.embedding.embedder.Embedder` that sends windows to a server."""

    def __init__(self, server: Server, *, version: int, described: Described):
        self.framing = described.framing
        self.dims = dict(described.dims)
        self._server = server
        self._version = version

    def embed(self, windows: np.ndarray) -> Mapping[str, np.ndarray]:
        # A clip as long as a window has one, whose embedding is the mean over the clip.
        outputs = self._server.predict(windows, version=self._version)
        for name, dim in self.dims.items():
            shape = outputs[name].shape if name in outputs else None
            if shape != (len(windows), dim):
                raise servers.refused(self._server.url, f"the output {name} should be {len(windows)} x {dim}")
        return {name: outputs[name] for name in self.dims}
