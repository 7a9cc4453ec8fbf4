"""The embedders of a job, which all threads of a process share."""

import threading
from collections.abc import Sequence

import numpy as np
from apache_beam.utils.shared import Shared

from beam_jobs.embedding.embedder import Embedder, Loader


class SharedEmbedders:
    """Loads each embedder once per process, when it is first asked for. It can be pickled, as its loaders can.

    Args:
        loaders: Load the embedders; each has another name.
    """

    def __init__(self, loaders: Sequence[Loader]):
        self._loaders = {loader.name: loader for loader in loaders}
        self._handle = Shared()
        self.names = tuple(self._loaders)

    def get(self, name: str) -> Embedder:
        """Returns an embedder.

        Raises:
            UserError: see `Loader.load`.
        """
        return self._of_process().get(self._loaders[name])

    def close(self) -> None:
        """Lets go of the embedders of this process."""
        self._of_process().clear()

    def _of_process(self) -> "_Loaded":
        return self._handle.acquire(_Loaded)


class _Loaded:
    """The embedders of this process."""

    def __init__(self):
        self._embedders: dict[str, Embedder] = {}
        self._loading = threading.Lock()
        self._embedding = threading.Lock()

    def get(self, loader: Loader) -> Embedder:
        with self._loading:
            if loader.name not in self._embedders:
                self._embedders[loader.name] = _InTurns(loader.load(), turn=self._embedding)
            return self._embedders[loader.name]

    def clear(self) -> None:
        self._embedders.clear()


class _InTurns:
    """An embedder whose batches are embedded one at a time.

    TensorFlow computes a batch on all cores, so the batches of several threads at once would take as long and more
    memory. Meanwhile the other threads read, cut and write.
    """

    def __init__(self, embedder: Embedder, *, turn: threading.Lock):
        self._embedder = embedder
        self._turn = turn
        self.framing = embedder.framing
        self.dims = embedder.dims

    def embed(self, windows: np.ndarray) -> dict[str, np.ndarray]:
        with self._turn:
            return dict(self._embedder.embed(windows))
